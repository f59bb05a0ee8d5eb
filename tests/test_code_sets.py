"""HumanEval and MBPP: every canonical solution passes, and what the plain runner fails, we fail."""

from __future__ import annotations

import ast
import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT

from curate.pool import Pool
from curate.sandbox.level import isolation
from curate.step import Verdict
from curate.verifiers.code_tests import CodeTests

# other people's programs hold invalid escapes
pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
VERIFIER = CodeTests(case_timeout_s=20.0)
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.BitXor: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Problem(NamedTuple):
    """One problem: our row without the program, the whole program, and the plain runner's tests."""

    name: str
    row: dict[str, Any]
    program: str
    function: str
    test: str


@pytest.fixture(scope="module")
def problems(data: Path) -> list[Problem]:
    if isolation().level != "full":
        pytest.skip(f"the kernel grants no namespaces here: {isolation().reason}")
    return [*_humaneval(data / "code" / "humaneval.jsonl"), *_mbpp(data / "code" / "mbpp_sanitized.jsonl")]


def _humaneval(path: Path) -> Iterator[Problem]:
    for p in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        answer = json.dumps({"entry_point": p["entry_point"], "test": p["test"]})
        test = f"{p['test']}\ncheck({p['entry_point']})"
        row = {"question": p["prompt"], "answer": answer}
        yield Problem(p["task_id"], row, p["prompt"] + p["canonical_solution"], p["entry_point"], test)


def _mbpp(path: Path) -> Iterator[Problem]:
    for p in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        answer = json.dumps({"test_list": p["test_list"], "test_imports": p["test_imports"]})
        test = "\n".join([*p["test_imports"], *p["test_list"]])
        names = [n.name for n in ast.parse(p["code"]).body if isinstance(n, ast.FunctionDef)]
        used = [n for n in names if n in p["test_list"][0]]
        yield Problem(
            f"MBPP/{p['task_id']}", {"question": p["prompt"], "answer": answer}, p["code"], used[-1], test
        )


def judged(problem: Problem, program: str) -> Verdict:
    return VERIFIER.row({**problem.row, "response": f"```python\n{program}\n```"})


def test_there_are_as_many_as_there_should_be(problems: list[Problem]) -> None:
    assert [sum(p.name.startswith(s) for p in problems) for s in ("HumanEval", "MBPP")] == [164, 427]


@pytest.mark.slow
def test_every_canonical_solution_passes_in_the_worker_pool(problems: list[Problem]) -> None:
    rows = [{**p.row, "response": f"```python\n{p.program}\n```"} for p in problems]
    with Pool(2) as pool:
        got = dict(pool.map(VERIFIER, rows))
    failed = {
        p.name: got[i] for i, p in enumerate(problems) if got[i] != Verdict(True, "equal", got[i][2], 1.0)
    }
    assert not failed


def test_every_bare_completion_passes(problems: list[Problem]) -> None:
    for p in problems[:164:4]:
        completion = p.program.removeprefix(p.row["question"])
        assert VERIFIER.row({**p.row, "response": completion}).passed is True, p.name


@pytest.mark.slow
def test_return_none_fails_everywhere(problems: list[Problem]) -> None:
    passed = [
        p.name
        for p in problems
        if judged(p, f"def {p.function}(*args):\n    return None").passed is not False
    ]
    assert not passed


def mutants(program: str, function: str) -> list[str]:
    """The program with one operator changed, once for each operator of the function."""
    tree = ast.parse(program)
    found = []
    for number, node in enumerate(ast.walk(tree)):
        for name in ("op", "ops"):
            value = getattr(node, name, None)
            first = value[0] if isinstance(value, list) and value else value
            if type(first) in SWAPS:
                changed = copy.deepcopy(tree)
                target = list(ast.walk(changed))[number]
                new = SWAPS[type(first)]()
                setattr(target, name, [new, *value[1:]] if isinstance(value, list) else new)
                found.append(ast.unparse(changed))
    return found


def plain_runner(programs: list[str]) -> list[bool]:
    lines = "".join(json.dumps({"program": p}) + "\n" for p in programs)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "reference_runner.py")],
        input=lines,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line == "1" for line in done.stdout.split()]


def compare(problems: list[Problem], each: int) -> None:
    """One or all mutants a problem: none that the plain runner fails passes here, and hardly one differs."""
    chosen, pairs = random.Random(0), []
    for p in problems:
        found = mutants(p.program, p.function)
        pairs += [(p, m) for m in chosen.sample(found, min(each, len(found)))]
    plain = plain_runner([f"{m}\n{p.test}" for p, m in pairs])
    ours = [VERIFIER_SHORT.row({**p.row, "response": f"```python\n{m}\n```"}) for p, m in pairs]
    wrong = [
        (p.name, o.why, m) for (p, m), o, ok in zip(pairs, ours, plain, strict=True) if o.passed and not ok
    ]
    assert not wrong, wrong[:3]
    assert sum(not ok for ok in plain) > len(pairs) / 2  # most mutants are caught, or this test says nothing
    strict = [
        (p.name, o.why, m) for (p, m), o, ok in zip(pairs, ours, plain, strict=True) if ok and not o.passed
    ]
    assert len(strict) <= len(pairs) * 0.01, strict[:5]


VERIFIER_SHORT = CodeTests(case_timeout_s=2.0, timeout_s=10.0)


def test_what_the_plain_runner_fails_we_fail(problems: list[Problem]) -> None:
    compare(random.Random(1).sample(problems, 80), 1)


@pytest.mark.slow
def test_what_the_plain_runner_fails_we_fail_all_problems(problems: list[Problem]) -> None:
    compare(problems, 2)

"""Whatever a model or a data set writes, a verifier answers with a verdict, within its limits, unharmed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import hostile
import polars as pl
import pytest
from conftest import ROOT

from curate.pool import Abstained, Pool
from curate.step import Verdict, Verifier, Why
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual

WORDS = set(get_args(Why))
SLOW = ("code_tests",)  # a sandbox for each text: a few texts of each kind, not all


def row_verifiers() -> dict[str, Verifier]:
    """Every verifier of the room that has a row body, with the fields of its examples."""
    found: dict[str, Verifier] = {}
    for path in sorted((ROOT / "verifiers").glob("*.py")):
        module = importlib.import_module(f"curate.verifiers.{path.stem}")
        for value in vars(module).values():
            own = (
                inspect.isclass(value) and issubclass(value, Verifier) and value.__module__ == module.__name__
            )
            if own and not value.__name__.startswith("_") and callable(getattr(value, "row", None)):
                found[path.stem] = value(**value.example_fields)
    return found


VERIFIERS = row_verifiers()


@pytest.fixture(scope="module")
def pool() -> Any:
    with Pool(workers=1) as pool:
        yield pool


def rows(step: Verifier, text: Any) -> list[dict[str, Any]]:
    """The text in the response, marked and bare, in the gold, in the question, in both, and everywhere."""
    plain = {c: None for c in step.columns} | {
        "question": "Which?\nA. 4\nB. 5",
        "answer": "4",
        "response": "4",
    }
    boxed = f"\\boxed{{{text}}}"
    made = [{"response": text}, {"response": boxed}, {"answer": text}, {"question": text},
            {"answer": text, "response": boxed}, {c: text for c in step.columns}]  # fmt: skip
    return [{c: (plain | new).get(c) for c in step.columns} for new in made]


def judge(pool: Pool, step: Verifier, given: list[dict[str, Any]]) -> list[Verdict]:
    """The verdicts, in order; each one whole, of the closed vocabulary, and fit for a table."""
    out: list[Any] = [None] * len(given)
    for index, value in pool.map(step, given):
        out[index] = value
    cut = [(v, short(given[i])) for i, v in enumerate(out) if isinstance(v, Abstained)]
    assert not cut, f"cut off from outside: {cut}"
    for value, row in zip(out, given, strict=True):
        assert isinstance(value, Verdict), (value, short(row))
        assert value.passed in (True, False, None)
        assert value.why.partition(":")[0].strip() in WORDS, (value.why, short(row))
        assert len(value.why) < 1000
        pl.DataFrame([step.pack(value)], schema=step.writes)
    return out


def short(row: dict[str, Any]) -> str:
    return repr(row)[:300]


def some(step: Verifier, texts: list[str]) -> list[str]:
    return texts[::9] if step.name in SLOW else texts


@pytest.mark.parametrize("name", VERIFIERS)
@pytest.mark.parametrize("kind", ["ODD", "ENDLESS", "DEEP", pytest.param("LARGE", marks=pytest.mark.slow)])
def test_a_hostile_text_has_a_verdict(pool: Pool, name: str, kind: str) -> None:
    step = VERIFIERS[name]
    made = [text() if callable(text) else text for text in getattr(hostile, kind).values()]
    for text in some(step, made):
        given = rows(step, text)
        judge(pool, step, given[::2] if kind == "LARGE" else given)


@pytest.mark.parametrize("name", VERIFIERS)
@pytest.mark.parametrize(
    "value", [None, ["4", "5"], [], 4, 0.5, float("nan"), float("inf"), True, {"a": 1}, b"4"], ids=repr
)
def test_an_answer_that_is_no_text_has_a_verdict(name: str, value: Any) -> None:
    step = VERIFIERS[name]
    verdict = step(**dict.fromkeys(step.columns, "4") | {"answer": value})
    assert isinstance(verdict, Verdict) and verdict.why.partition(":")[0] in WORDS
    if "answer" in step.columns and (value is None or value == {"a": 1}):
        assert verdict.passed is not True


@pytest.mark.parametrize("name", VERIFIERS)
def test_a_row_of_nulls_has_a_verdict(pool: Pool, name: str) -> None:
    [verdict] = judge(pool, VERIFIERS[name], [{c: None for c in VERIFIERS[name].columns}])
    assert verdict.passed is not True


@pytest.mark.parametrize("name", VERIFIERS)
def test_no_text_is_run(pool: Pool, name: str, tmp_path: Path) -> None:
    step, flag = VERIFIERS[name], tmp_path / "ran"
    for what, text in hostile.code(str(flag)).items():
        judge(pool, step, rows(step, text))
        assert not flag.exists(), f"{name} ran {what}"


def test_running_it_would_be_seen(tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    eval(hostile.code(str(flag))["open"]).close()  # noqa: S307 - our own text
    assert flag.exists()


@pytest.mark.parametrize("name", VERIFIERS)
def test_nothing_is_printed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    step = VERIFIERS[name]
    for text in some(step, [*hostile.ODD.values(), "x^2+1", r"\frac{1}{"]):
        for row in rows(step, text):
            step.row(row)  # type: ignore[attr-defined]
    assert capfd.readouterr() == ("", "")


GRADERS = [MathEqual(), Choice(), Exact()]


@pytest.mark.parametrize("step", GRADERS, ids=lambda step: step.name)
@pytest.mark.parametrize(
    "text",
    ["injection", "injected verdict", "injected json", "end of fence", "special tokens", "empty", "space"],
)
def test_a_text_that_asks_to_pass_does_not(step: Any, text: str) -> None:
    said = hostile.ODD[text]
    for response in (said, f"\\boxed{{{said}}}"):
        assert step.row({"question": None, "response": response, "answer": "4"}).passed is not True
        assert (
            step.row({"question": "Which?\nA. 4\nB. 5", "response": response, "answer": "A"}).passed
            is not True
        )


@pytest.mark.parametrize("step", GRADERS, ids=lambda step: step.name)
@pytest.mark.parametrize("gold", [None, "", " ", "$$", r"\boxed{}"], ids=repr)
def test_a_gold_that_is_nothing_abstains(step: Any, gold: Any) -> None:
    verdict = step.row({"question": None, "response": r"\boxed{4}", "answer": gold})
    assert verdict.passed is None, verdict


@dataclass(frozen=True)
class Sinks(Verifier):
    """Hangs, runs out of memory or dies on some rows, as a grader without limits does."""

    timeout_s: float = 1.0
    memory_mb: int = 256
    reads = ("response",)

    def row(self, row: Any) -> Verdict:
        import os
        import re
        import time

        said = row["response"]
        if said == "loop":
            while True:
                pass
        elif said == "sleep":
            time.sleep(3600)
        elif said == "regex":  # in C, where no Python signal handler is called
            re.match(r"(a|aa)+$", "a" * 100 + "b")
        elif said == "power":
            str(9**9**9)
        elif said == "memory":
            return Verdict(True, "equal", "x" * (1 << 30))
        elif said == "exit":
            os._exit(0)
        elif said == "abort":
            os.abort()
        return Verdict(True, "equal", said)


BAD = ("loop", "sleep", "regex", "power", "memory", "exit", "abort")


@pytest.mark.slow
def test_a_batch_with_rows_that_hang_loses_those_rows_only() -> None:
    said = [BAD[i // 20] if i % 20 == 7 else str(i) for i in range(20 * len(BAD))]
    with Pool(workers=2) as pool:
        out = dict(pool.map(Sinks(), [{"response": s} for s in said]))
    lost = {said[i]: value.why for i, value in out.items() if isinstance(value, Abstained)}
    assert set(lost) == set(BAD)
    assert all(lost[word].startswith("timeout") for word in ("loop", "sleep", "regex", "power"))
    assert lost["memory"].startswith("memory") and lost["abort"].startswith("crashed")
    kept = {i: value.extracted for i, value in out.items() if isinstance(value, Verdict)}
    assert kept == {i: s for i, s in enumerate(said) if s not in BAD}


PAIRS = [
    (r"so \boxed{\frac{2}{4}}", "0.5"), (r"\boxed{(1, 2)}", "(2, 1)"), (r"\boxed{9^9^9^9}", "4"), ("", "4"),
    (r"\boxed{x^2-1}", "(x-1)(x+1)"), (r"\boxed{\{1, 2\}}", "2, 1"), ("The answer is $5$ m.", "500 cm"),
    (r"\boxed{4}", ""), (r"either \boxed{3} or \boxed{4}", "4"), (r"\boxed{\frac{1}{}}", r"\frac{1}{"),
]  # fmt: skip


def direct() -> list[Verdict]:
    return [MathEqual().row({"response": response, "answer": gold}) for response, gold in PAIRS]


def called() -> list[Verdict]:
    return [MathEqual()(response=response, answer=gold) for response, gold in PAIRS]


def test_a_call_has_the_verdict_of_the_row() -> None:
    assert called() == direct()


def test_a_thread_has_the_verdict_of_the_row() -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(called) for _ in range(4)]
    assert all(answer.result() == direct() for answer in answers)


def test_an_event_loop_has_the_verdict_of_the_row() -> None:
    async def ask() -> tuple[list[Verdict], list[Verdict]]:
        return called(), await asyncio.to_thread(called)

    assert asyncio.run(ask()) == (direct(), direct())


@pytest.mark.slow
def test_another_process_has_the_verdict_of_the_row() -> None:
    """With other hash seeds too: nothing hangs on the order of a set."""
    ask = (
        "import json, sys\nfrom curate.verifiers.math_equal import MathEqual\n"
        "said = [MathEqual()(response=r, answer=g) for r, g in json.load(sys.stdin)]\nprint(json.dumps(said))"
    )
    for seed in ("0", "1", "77"):
        out = subprocess.run(
            [sys.executable, "-c", ask], input=json.dumps(PAIRS), capture_output=True, text=True, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        assert [Verdict(*verdict) for verdict in json.loads(out.stdout)] == direct()


def test_the_order_of_rows_changes_no_verdict() -> None:
    given = [{"response": response, "answer": gold} for response, gold in PAIRS] * 3
    with Pool(workers=1) as pool:
        once = dict(pool.map(MathEqual(), given))
        again = dict(pool.map(MathEqual(), given[::-1]))
    assert [once[i] for i in range(len(given))] == [again[len(given) - 1 - i] for i in range(len(given))]

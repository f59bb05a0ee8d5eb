"""Every file of every room keeps the contract of a step; it is found by its place alone."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import polars as pl
import pytest
from conftest import ROOT

from curate.columns import HOLDS
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.schema import ROW, SPANS, VERDICT
from curate.step import Filter, Rewriter, Score, Step, Verdict, Verifier
from curate.turns import TOP
from curate.verifiers.math_equal import MathEqual

ROOMS = {
    "verifiers": (ROOT / "verifiers", Verifier),
    "filters": (ROOT / "filters", Filter),
    "rewriters": (ROOT / "rewriters", Rewriter),
    "scores": (ROOT / "curate" / "scores", Score),
}
FILES = [
    (room, path.stem)
    for room, (folder, _) in ROOMS.items()
    for path in sorted(folder.glob("*.py"))
    if path.stem != "__init__"
]
VERDICT_COLUMNS = {name for room, name in FILES if room == "verifiers"}


class Found(NamedTuple):
    """One file of a room: its module, its role and its step class."""

    module: ModuleType
    role: type[Step]
    step: type[Step]


@pytest.fixture(params=FILES, ids=[f"{room}/{name}" for room, name in FILES])
def found(request: pytest.FixtureRequest) -> Found:
    room, name = request.param
    module = importlib.import_module(f"curate.{room}.{name}")
    return Found(module, ROOMS[room][1], only_step(module))


def only_step(module: ModuleType) -> type[Step]:
    """The one public class that the file itself defines."""
    own = [v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__]
    public = [c for c in own if not c.__name__.startswith("_")]
    assert len(public) == 1, f"{module.__name__} has the public classes {public}; one file, one step"
    assert issubclass(public[0], Step)
    return public[0]


def make(step: type[Step], folder: Path) -> Step:
    """The step with the fields its examples want, and the files it says they want, in `folder`."""
    for name, text in getattr(step, "example_files", {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    given = dict(step.example_fields)
    asks = callable(getattr(step, "ask", None))
    if asks:
        assert step.replies, f"{step.__name__} asks a model and has no replies for its examples"
        needed = [f.name for f in fields(step) if "Engine" in str(f.type) and f.name not in given]
        given |= {name: Scripted(script=list(step.replies)) for name in needed}
        judged = [f.name for f in fields(step) if str(f.type) == "Verifier" and f.name not in given]
        given |= {name: MathEqual() for name in judged}
    return step(**given)


@pytest.fixture
def made(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.chdir(tmp_path)
    return make(found.step, tmp_path)


def test_every_room_has_something() -> None:
    assert {room for room, _ in FILES} >= {"verifiers", "filters", "rewriters"}


def test_it_is_a_frozen_dataclass_of_its_role_named_after_its_file(found: Found, made: Step) -> None:
    assert issubclass(found.step, found.role)
    assert is_dataclass(found.step) and "__dataclass_fields__" in vars(found.step)
    with pytest.raises(FrozenInstanceError):
        made.anything = 1  # type: ignore[attr-defined]
    assert made.name == found.module.__name__.rpartition(".")[2]


def test_it_is_documented(found: Found) -> None:
    module, step = found.module.__doc__ or "", vars(found.step).get("__doc__") or ""
    first = module.strip().splitlines()[0]
    assert first.endswith((".", ";", ":")), f"the first line says what is true afterwards: {first!r}"
    assert not step.startswith(f"{found.step.__name__}("), "the docstring is the one dataclass made up"
    assert step.strip() and step.strip() != module.strip()


def test_it_has_one_body_and_reads_what_a_row_has(made: Step) -> None:
    assert made.body in ("expr", "row", "ask", "mark")
    assert made.columns, "a step that reads nothing knows nothing"
    for column in made.reads:
        assert column in ROW or column in VERDICT_COLUMNS, f"{column} is in no schema"
    assert len(set(made.columns)) == len(made.columns)


def test_it_says_what_the_columns_hold_that_its_fields_name(made: Step) -> None:
    """A column that a field names is one whose type is checked before anything is paid."""
    for field, kind in made.takes.items():
        named = getattr(made, field)
        assert kind in HOLDS and {*(named if isinstance(named, tuple) else [named])} - {None} <= {
            *made.columns
        }
    values = {f.name: getattr(made, f.name) for f in fields(made)}
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    named = {name for name, value in values.items() if {*map(str, value)} & {*made.columns}}
    assert named <= {*made.takes}


def test_what_it_reads_is_all_that_its_examples_give(made: Step) -> None:
    for given, _ in made.examples:
        for row in given if isinstance(given, list) else [given]:
            assert set(row) <= set(made.columns)


def test_its_fingerprint_is_the_same_in_another_process(found: Found, made: Step, tmp_path: Path) -> None:
    if made.body == "ask":
        pytest.skip("its engine's script has no source in another process")
    code = (
        f"import json, sys; from {found.module.__name__} import {found.step.__name__} as S; "
        "print(S(**json.load(sys.stdin, object_hook=lambda d: "
        "{k: tuple(v) if isinstance(v, list) else v for k, v in d.items()})).fingerprint)"
    )
    path = os.pathsep.join([str(ROOT), *sys.path])
    out = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(dict(found.step.example_fields)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == made.fingerprint


def test_a_raised_version_is_another_fingerprint(found: Found, made: Step) -> None:
    raised = type(found.step.__name__, (found.step,), {"version": found.step.version + 1})
    other = raised(**{f.name: getattr(made, f.name) for f in fields(made) if f.init})
    assert other.fingerprint != made.fingerprint


def test_a_field_that_lists_its_values_takes_no_other(made: Step) -> None:
    for field in fields(made):
        if str(field.type).startswith("Literal["):
            with pytest.raises(UserError, match=field.name):
                replace(made, **{field.name: "of no such kind"})


def test_a_field_of_a_plain_type_takes_no_other(made: Step) -> None:
    plain = [f for f in fields(made) if {*str(f.type).split(" | ")} <= {"int", "float", "str", "None"}]
    for f in plain:
        with pytest.raises(UserError, match=f"{made.name}: {f.name} is "):
            replace(made, **{f.name: b"?"})


def test_a_verifier_says_whether_it_needs_a_gold(found: Found, made: Step) -> None:
    if not isinstance(made, Verifier) or made.body not in ("row", "ask") or found.step.__name__ == "Decided":
        pytest.skip("it judges no row by itself")
    said = made(question="2 + 2?", response=r"\boxed{4}", answer=None)
    assert said.passed is None if made.needs_gold else said.why != "no_gold", f"{made.needs_gold}: {said}"


def test_its_source_is_short_and_plain(found: Found) -> None:
    source = Path(inspect.getfile(found.module)).read_text(encoding="utf-8")
    assert source.count("\n") < 250
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, functions):
            assert (node.end_lineno or 0) - node.lineno < 40, f"{node.name} is long"


def test_its_examples_hold(found: Found, made: Step) -> None:
    assert made.examples, "a step without examples shows nobody what it does"
    if found.role is Filter:
        check_filter(made)
    elif made.body == "mark" and found.role is Score:
        check_score(made, [pair for rows, want in made.examples for pair in measured(made, rows, want)])
    elif made.body == "mark":
        check_verifier(made, [pair for rows, want in made.examples for pair in marked(made, rows, want)])
    else:
        got = [(value_of(made, given), want) for given, want in made.examples]
        check = {Verifier: check_verifier, Rewriter: check_rewriter, Score: check_score}[found.role]
        check(made, got)


def value_of(step: Step, given: dict[str, Any]) -> Any:
    """The value of the body for one row; missing columns are null."""
    row = {c: given.get(c) for c in step.columns}
    if step.body == "row":
        return step.row(row)  # type: ignore[attr-defined]
    if step.body == "expr":
        value = step.expr()  # type: ignore[attr-defined]
        if isinstance(step, Score):
            return frame_of(step, [row]).select(value).collect().to_dicts()[0]
        return frame_of(step, [row]).select(value=value).collect()["value"].to_list()[0]

    async def ask() -> Any:
        async with step.engine:  # type: ignore[attr-defined]
            return await step.ask(row)  # type: ignore[attr-defined]

    return asyncio.run(ask())


def marked(step: Step, rows: list[dict[str, Any]], wanted: list[Any]) -> list[tuple[Any, Any]]:
    """What a verifier over the whole table says of each row, beside what is wanted."""
    marks = step.mark(frame_of(step, rows).with_row_index("row")).collect()  # type: ignore[attr-defined]
    assert marks.schema == {"row": pl.UInt32, **step.writes}
    assert marks["row"].is_unique().all()
    found = dict(marks.iter_rows())
    return [(found[i], want) for i, want in zip(range(len(rows)), wanted, strict=True)]


def measured(step: Step, rows: list[dict[str, Any]], wanted: list[Any]) -> list[tuple[Any, Any]]:
    """The columns that a score over the whole table gives each row, beside what is wanted."""
    marks = step.mark(frame_of(step, rows).with_row_index("row")).collect()  # type: ignore[attr-defined]
    assert marks.schema == {"row": pl.UInt32, **step.writes}
    assert marks["row"].is_unique().all()
    found = {line.pop("row"): line for line in marks.to_dicts()}
    return [(found[i], want) for i, want in zip(range(len(rows)), wanted, strict=True)]


def check_verifier(step: Step, got: list[tuple[Any, Any]]) -> None:
    assert {want for _, want in got} == {True, False, None}, "an example each: passes, fails, abstains"
    for value, want in got:
        verdict = value if isinstance(value, Verdict) else Verdict(**value)
        assert verdict.passed is want, verdict
        assert verdict.why
        packed = pl.DataFrame([step.pack(verdict)], schema=step.writes)
        assert packed[step.name].to_list()[0]["passed"] is want


def check_rewriter(step: Step, got: list[tuple[Any, Any]]) -> None:
    wanted = [want for _, want in got]
    assert None in wanted and any(w is not None for w in wanted), "an example of a child, and one of none"
    for value, want in got:
        child = step.pack(value)["child"]
        assert (child and {c: child[c] for c in ("thinking", "response")}) == want
        packed = pl.DataFrame([step.pack(value)], schema=step.writes)["child"].to_list()[0]
        assert (packed or {}).get("response") == (None if want is None else want["response"])


def check_score(step: Step, got: list[tuple[Any, Any]]) -> None:
    """`...` in an example is a value that it does not know beforehand, such as a fingerprint."""
    for value, want in got:
        assert set(value) == set(want)
        for column, expected in want.items():
            assert expected is ... or _close(value[column], expected), (column, value[column], expected)
        assert set(pl.DataFrame([step.pack(value)], schema=step.writes).columns) == set(value)


def _close(value: Any, expected: Any) -> bool:
    """Equal, with floats a little off, at any depth."""
    if isinstance(expected, (list, tuple)):
        return len(value) == len(expected) and all(map(_close, value, expected))
    if isinstance(expected, dict):
        return set(value) == set(expected) and all(_close(value[k], expected[k]) for k in expected)
    return bool(value == (pytest.approx(expected) if isinstance(expected, float) else expected))


def check_filter(step: Step) -> None:
    answers: list[bool] = []
    for given, want in step.examples:
        rows, wanted = (given, want) if isinstance(given, list) else ([given], [want])
        goes = [why is not None for why in reasons(step, rows)]
        assert goes == wanted, (rows, reasons(step, rows))
        answers += wanted
    assert set(answers) == {True, False}, "an example of a row that goes, and of one that stays"


def reasons(step: Step, rows: list[dict[str, Any]]) -> list[str | None]:
    """Why each row goes, or None, through real frames."""
    frame = frame_of(step, rows)
    if step.body == "expr":
        found = frame.select(why=step.expr()).collect()["why"]  # type: ignore[attr-defined]
        assert found.dtype == pl.String
        whys = found.to_list() * (len(rows) if len(found) < len(rows) else 1)
    else:
        marks = step.mark(frame.with_row_index("row")).collect()  # type: ignore[attr-defined]
        assert marks.schema == {"row": pl.UInt32, "why": pl.String}
        assert marks["row"].is_unique().all() and marks["why"].null_count() == 0
        by_row = dict(marks.iter_rows())
        whys = [by_row.get(i) for i in range(len(rows))]
    assert all(why is None or why.strip() for why in whys), "a reason that says nothing"
    return whys


def frame_of(step: Step, rows: list[dict[str, Any]]) -> pl.LazyFrame:
    """Rows with the columns that the step reads, in the types they have in a run; what is missing is null."""
    schema = {c: ROW.get(c, _dtype(step, c)) for c in step.columns}
    return pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema).lazy()


def _dtype(step: Step, column: str) -> Any:
    """The type of a column that some other step writes, told by its name and the examples."""
    given = [row for rows, _ in step.examples for row in (rows if isinstance(rows, list) else [rows])]
    for kind, dtype in ((bool, pl.Boolean), (int, pl.Int64), (float, pl.Float64), (str, pl.String)):
        if any(isinstance(row.get(column), kind) for row in given):
            return dtype
    ends = {"_tokens": SPANS, "_sentences": SPANS, "_top": TOP}
    return next((dtype for end, dtype in ends.items() if column.endswith(end)), VERDICT)


def test_a_filter_or_a_step_over_the_whole_table_takes_an_empty_one(found: Found, made: Step) -> None:
    if found.role is Filter:
        assert reasons(made, []) == []
    elif made.body == "mark":
        assert (measured if found.role is Score else marked)(made, [], []) == []


# The checks themselves can fail: three steps that break the contract.


@dataclass(frozen=True)
class _Liar(Filter):
    """Says in its examples that a row goes, and lets it stay."""

    reads = ("finish",)
    examples = (({"finish": "stop"}, True), ({"finish": "length"}, False))

    def expr(self) -> pl.Expr:
        return pl.lit(None, pl.String)


@dataclass(frozen=True)
class _Doubled(Filter):
    """Marks a row twice."""

    reads = ("finish",)

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return pl.concat([frame.select("row", why=pl.lit("again"))] * 2)


def test_a_filter_that_lies_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_filter(_Liar())


def test_a_row_marked_twice_is_caught() -> None:
    with pytest.raises(AssertionError):
        reasons(_Doubled(), [{"finish": "stop"}])


def test_a_verifier_that_never_abstains_in_its_examples_is_caught() -> None:
    verdict = Verdict(True, "equal")
    with pytest.raises(AssertionError, match="abstains"):
        check_verifier(_Liar(), [(verdict, True)])


def test_a_file_with_two_steps_is_caught() -> None:
    module = ModuleType("two")
    for name in ("One", "Two"):
        setattr(module, name, type(name, (Filter,), {"__module__": "two"}))
    with pytest.raises(AssertionError, match="one file, one step"):
        only_step(module)

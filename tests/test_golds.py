"""Golds that no verifier passes against themselves are named: in a run, from Python, and from the CLI."""

from __future__ import annotations

import ast
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

import curate
from curate.cli import main
from curate.errors import RunError, UserError
from curate.schema import Row
from curate.step import Verdict, Verifier
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.numeric import Numeric

GOLDS = ["1/2", "7", "see figure", r"\frac{1}{", None, "7"]
ROWS = pl.DataFrame({"question": [f"What is {i}?" for i in range(6)], "answer": GOLDS})


@dataclass(frozen=True)
class Counts(Verifier):
    """Passes golds that are digits, and leaves a mark for each that it judged."""

    folder: str
    reads = ("response", "answer")
    reflexive = "<%s>"

    def row(self, row: Row) -> Verdict:
        if row["response"] == f"<{row['answer']}>":
            (Path(self.folder) / row["answer"]).touch()
        return Verdict(row["answer"].isdigit() or None, "gold_invalid: no digits")


@dataclass(frozen=True)
class SaysTrue(Verifier):
    """Answers a truth value in place of a verdict."""

    reads = ("response", "answer")

    def row(self, row: Row) -> Verdict:
        return True  # type: ignore[return-value]


def test_each_gold_that_fails_against_itself_is_listed_once() -> None:
    found = curate.read(ROWS).golds(MathEqual())
    whys = {r["answer"]: r["why"] for r in found.to_dicts()}
    assert whys[None] == "math_equal: no_gold" and whys[r"\frac{1}{"].startswith("math_equal: gold_invalid")
    assert set(whys) == {None, r"\frac{1}{"} and found["rows"].to_list() == [1, 1]
    assert set(found["question"]) == {"What is 3?", "What is 4?"}


def test_a_gold_that_one_of_several_verifiers_passes_is_in_order() -> None:
    assert r"\frac{1}{" in curate.read(ROWS).golds(MathEqual())["answer"].to_list()
    found = curate.read(ROWS).golds(Choice(), MathEqual(), Exact())
    assert found["answer"].to_list() == [None]
    assert found.filter(pl.col("answer").is_null())["why"][0].count("no_gold") == 3


@pytest.mark.parametrize(
    "gold", ["She has 5 left.\n2 * 36 = 72\n#### 72", "x\n#### 72 \n", "so #### 72", "#### 72"]
)
def test_a_gold_with_its_solution_is_what_stands_behind_the_hashes(gold: str) -> None:
    for verifier in (MathEqual(), Numeric()):
        for said, want in ((r"\boxed{72}", True), (r"\boxed{5}", False), (rf"\boxed{{{gold}}}", True)):
            assert verifier.row({"response": said, "answer": gold}).passed is want


def test_a_verifier_that_does_not_say_how_a_gold_is_written_is_told_how_to() -> None:
    @dataclass(frozen=True)
    class Programs(Verifier):
        reads = ("response", "answer")

        def row(self, row: Row) -> Verdict:
            return Verdict(True, "equal")

    wanted = "programs does not say .* no gold can be judged .* in the class Programs"
    with pytest.raises(UserError, match=wanted) as e:
        curate.read(ROWS).golds(Programs())
    told = str(e.value).rpartition("such as reflexive = ")[2].rpartition("'")[0] + "'"

    @dataclass(frozen=True)
    class Taught(Programs):
        reflexive = ast.literal_eval(told)  # the remedy, as the sentence words it

    assert Taught.reflexive == Exact.reflexive
    assert curate.read(ROWS).golds(Taught()).is_empty()


def test_a_run_warns_once_for_all_and_keeps_the_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (seen := tmp_path / "seen").mkdir()
    rows = pl.DataFrame({"question": ["a", "b", "c"], "answer": ["1", "x y", "2"], "response": ["1"] * 3})
    pipeline = curate.Pipeline(curate.read(rows), [Counts(str(seen))])
    for judged in (["1", "2", "x y"], []):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            pipeline.run(tmp_path / "run")
        [said] = [r.getMessage() for r in caplog.records if "pass against themselves" in r.getMessage()]
        assert said.startswith("1 of 3 gold answers") and "(1 gold_invalid)" in said and "'x y'" in said
        assert sorted(p.name for p in seen.iterdir()) == judged
        for mark in seen.iterdir():
            mark.unlink()
    assert pl.read_parquet(tmp_path / "run" / "golds.parquet")["answer"].to_list() == ["x y"]


def test_the_command_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ROWS.write_ndjson(tmp_path / "problems.jsonl")
    main(["golds", str(tmp_path / "problems.jsonl"), "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 2
    with pytest.raises(SystemExit) as stop:
        main(["golds", str(tmp_path / "problems.jsonl"), "--verifier", "math_equl"])
    assert stop.value.code == 2 and "did you mean 'math_equal'" in capsys.readouterr().err


def test_the_command_may_leave_out_rows_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "problems.jsonl"
    ROWS.write_ndjson(file)
    file.write_text(file.read_text() + "{half a row\n")
    with pytest.raises(SystemExit):
        main(["golds", str(file)])
    assert "line 7" in capsys.readouterr().err
    main(["golds", str(file), "--bad-rows", "set_aside", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_rows_without_an_answer_are_counted_apart_from_golds_that_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = ["", None, None, "2", r"\frac{1}{"]
    rows = pl.DataFrame({"question": [*"abcde"], "answer": answers, "response": ["1"] * 5})
    with caplog.at_level(logging.WARNING):
        curate.Pipeline(rows, [MathEqual(), Choice()]).run(tmp_path / "run")
        curate.Pipeline(rows.head(4), [MathEqual()]).plan()
    first, golds, planned = [r.getMessage() for r in caplog.records]
    assert first == "3 of 5 rows have no answer: math_equal, choice cannot judge their traces"
    assert planned == "3 of 4 rows have no answer: math_equal cannot judge their traces"
    assert golds.startswith("1 of 2 gold answers") and r"such as '\\frac{1}{'" in golds


@pytest.mark.parametrize("name", ["competition", "word", "choice", "logic"])
def test_the_golds_of_real_problem_sets_can_be_read(data: Path, name: str) -> None:
    found = curate.read(data / "problems" / f"{name}.jsonl.gz").golds(Choice(), MathEqual(), Exact())
    assert found.is_empty(), found


def test_a_gold_column_that_is_not_understood_is_said_by_plan_and_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pl.DataFrame({"question": ["a", "b"], "golden": ["1", "2"], "response": ["1"] * 2})
    pipeline = curate.Pipeline(rows, [MathEqual()])
    for go in (pipeline.plan, pipeline.run):
        caplog.clear()
        go(tmp_path / "run")
        [said] = [r.getMessage() for r in caplog.records]
        assert said.startswith("none of the 2 rows read has an answer, and math_equal cannot judge their")
        assert "those not understood are golden; name the column with answer=" in said
    caplog.clear()
    curate.Pipeline(curate.read(rows, answer="golden"), [MathEqual()]).plan()
    assert not caplog.records


@pytest.mark.parametrize("reflexive", ["<%s>", None])
def test_a_verifier_that_answers_no_verdict_is_named_with_its_line(
    reflexive: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SaysTrue, "reflexive", reflexive)
    line = SaysTrue.row.__code__.co_firstlineno
    rows = ROWS.with_columns(response=pl.lit("7"))
    with pytest.raises(
        RunError, match=rf"says_true answered True .*test_golds\.py, line {line}\); it answers a Verdict"
    ):
        curate.Pipeline(curate.read(rows), [SaysTrue()]).run(tmp_path / "run")

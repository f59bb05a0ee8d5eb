"""Rows of which none has an answer are refused before any call, where no trace could be judged and kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_cli import refused

import curate
from curate.cli import main
from curate.engines.scripted import Scripted
from curate.errors import InputError
from curate.filters.failed import Failed
from curate.methods.data_efficient import data_efficient
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning
from curate.methods.distribution_aligned import distribution_aligned
from curate.methods.guidance_on_demand import guidance_on_demand
from curate.methods.parallel_teachers import parallel_teachers
from curate.methods.retro_search import retro_search
from curate.step import Filter
from curate.verifiers.agree import Agree
from curate.verifiers.choice import Choice
from curate.verifiers.code_tests import CodeTests
from curate.verifiers.decided import Decided
from curate.verifiers.exact import Exact
from curate.verifiers.json_equal import JsonEqual
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.soft_judge import SoftJudge

TEACHER = """
import pathlib
def four(messages):
    with open(pathlib.Path(__file__).with_name("asked"), "a") as f:
        f.write("x")
    return "<think>so</think>\\\\boxed{4}"
"""


def sums(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"question": ["1 + 3?", "2 + 2?", "3 + 1?"], **columns})


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "pupil_of_four.py").write_text(TEACHER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pupil_of_four", raising=False)
    return "scripted:pupil_of_four:four"


@pytest.mark.parametrize("answer", [None, ""])
def test_the_command_buys_nothing_and_says_what_to_name(
    answer: str | None, teacher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out, asked = tmp_path / "p.jsonl", tmp_path / "run", tmp_path / "asked"
    sums(golden=["4"] * 3, answer=pl.Series([answer] * 3, dtype=pl.String)).write_ndjson(file)
    command = ["rejection_sampling", "--teacher", teacher, "--n", "2", "--out", str(out), "--problems"]
    for verb in ("plan", "run"):
        said = refused(capsys, verb, *command, file)
        assert said.startswith("curate: none of the 3 rows read has an answer, and math_equal judges nothing")
        assert "failed would drop every trace" in said and "those not understood are golden;" in said
        assert "I looked for the columns answer, expected_answer, " in said and "FILE?answer=…" in said
        assert not asked.exists()
    main(["run", *command, f"{file}?answer=golden"])  # the remedy, in the same folder
    assert asked.read_text() == "x" * 6 and len(pl.read_parquet(out / "live.parquet")) == 3


def test_where_some_rows_have_an_answer_it_goes_on_and_counts_the_others(
    teacher: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums(answer=["4", None, None]).write_ndjson(tmp_path / "p.jsonl")
    flags = ["--teacher", teacher, "--n", "1", "--out", str(tmp_path / "run")]
    with caplog.at_level(logging.WARNING):
        main(["run", "rejection_sampling", "--problems", str(tmp_path / "p.jsonl"), *flags])
    assert "2 of 3 rows have no answer: math_equal cannot judge their traces" in caplog.messages
    assert len(pl.read_parquet(tmp_path / "run" / "live.parquet")) == 1


def judge(**fields: Any) -> Judge:
    return Judge(Scripted(script=["VERDICT: SAME"]), **fields)


def soft(**fields: Any) -> SoftJudge:
    return SoftJudge(Scripted(script=['{"correct": true}']), **fields)


def counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(right=pl.col("math_equal").struct.field("passed").sum().over("problem_id"))


def believes(rows: pl.LazyFrame) -> pl.LazyFrame:
    passed = pl.col("math_equal").struct.with_fields(passed=pl.lit(True))
    return rows.with_columns(math_equal=pl.when(pl.col("response").is_not_null()).then(passed))


def drop(name: str) -> Failed:
    return Failed(name, abstained="drop")


@dataclass(frozen=True)
class AlsoLooksAt(Filter):
    """Says of less than it looks at that it reads it."""

    looks: pl.Expr
    reads = ("math_equal",)

    def expr(self) -> pl.Expr:
        unjudged = pl.col("math_equal").struct.field("passed").is_null()
        return pl.when(unjudged & self.looks).then(pl.lit("unjudged"))


@pytest.mark.parametrize("answer", [None, "4"])
@pytest.mark.parametrize(
    "looks", [pl.col("response").str.len_chars() > 999, (pl.col("sample") > 0).any().over("problem_id")]
)
def test_a_filter_that_looks_at_more_than_it_reads_is_not_judged_beforehand(
    looks: pl.Expr, answer: str | None, tmp_path: Path
) -> None:
    rows = sums(response=["4"] * 3, answer=pl.Series([answer] * 3, dtype=pl.String))
    pipeline = curate.Pipeline(rows, [MathEqual(), AlsoLooksAt(looks)])
    assert pipeline.plan().read == 3
    assert len(pipeline.run(tmp_path / "run").traces.collect()) == 3


def test_where_a_row_has_an_answer_no_filter_is_tried_beforehand(tmp_path: Path) -> None:
    tried: list[str] = []

    def notes(why: pl.Series) -> pl.Series:
        tried.extend(why)
        return pl.Series([None] * len(why), dtype=pl.String)

    steps = [MathEqual(), AlsoLooksAt(pl.col("math_equal").struct.field("why").map_batches(notes).is_null())]
    rows = sums(response=["4"] * 3, answer=["4", None, None])
    curate.Pipeline(rows, steps).plan()
    assert "no_gold" not in tried


@pytest.mark.parametrize(
    "steps",
    [
        [MathEqual(), counts, drop("math_equal")],
        [Choice(), MathEqual(), Exact(), Decided(), drop("decided")],
        [MathEqual(), judge(), drop("judge")],
        [soft(), drop("soft_judge")],
        [JsonEqual(), drop("json_equal")],
        [Agree(), drop("agree"), MathEqual(), drop("math_equal")],
    ],
)
def test_a_filter_that_would_drop_every_trace_is_found(steps: list[Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 3 rows read has an answer"):
        curate.Pipeline(sums(response=["4"] * 3), steps).run(tmp_path / "run")


@pytest.mark.parametrize(
    "make",
    [
        lambda: [MathEqual()],
        lambda: [MathEqual(), Failed("math_equal")],
        lambda: [Agree(min_votes=1), drop("agree")],
        lambda: [Agree(min_votes=1), judge(after=("agree",)), drop("judge")],
        lambda: [soft(gold=False), drop("soft_judge")],
        lambda: [JsonEqual(schema='{"type": "integer"}'), drop("json_equal")],
        lambda: [MathEqual(), believes, drop("math_equal")],
        lambda: [MathEqual(), Agree(min_votes=1), Decided(("agree", "math_equal")), drop("decided")],
    ],
)
def test_what_does_without_golds_goes_on(make: Callable[[], list[Any]], tmp_path: Path) -> None:
    done = curate.Pipeline(sums(response=["4"] * 3), make()).run(tmp_path / "run")
    assert len(done.traces.collect()) == 3


@pytest.mark.parametrize("answer", [None, "4"])
@pytest.mark.parametrize(
    ("make", "needs"),
    [
        (lambda: judge(after=()), True),
        (lambda: CodeTests(), True),
        (lambda: soft(), True),
        (lambda: soft(gold=False), False),
        (lambda: JsonEqual(), True),
        (lambda: JsonEqual(schema='{"type": "integer"}'), False),
        (lambda: Agree(), False),
    ],
)
def test_rows_without_an_answer_are_told_of_where_a_verifier_needs_one(
    make: Callable[[], Any], needs: bool, answer: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    rows = sums(response=["4"] * 3, answer=pl.Series([answer, None, ""], dtype=pl.String))
    step = make()
    curate.Pipeline(rows, [step]).plan()
    begin = "2 of 3 rows have no answer: " if answer else "none of the 3 rows read has an answer, and "
    assert [m.startswith(f"{begin}{step.name} cannot judge their") for m in caplog.messages] == [True] * needs


ENGINE = Scripted(script=["x"])


@pytest.mark.parametrize(
    ("method", "flags", "goes_on"),
    [
        (retro_search, {"teacher": ENGINE}, False),
        (retro_search, {"teacher": ENGINE, "reference": "self"}, True),
        (difficulty_aware_pruning, {"teacher": ENGINE, "rewriter": ENGINE}, False),
        (difficulty_aware_pruning, {"teacher": ENGINE, "rewriter": ENGINE, "without_gold": True}, True),
        (distribution_aligned, {"teacher": ENGINE, "student": ENGINE}, True),
        (distribution_aligned, {"teacher": ENGINE, "student": ENGINE, "verify": True}, False),
        (data_efficient, {"teacher": ENGINE, "student": ENGINE}, False),
        (data_efficient, {"teacher": ENGINE, "student": ENGINE, "judge": ENGINE}, False),
        (parallel_teachers, {"teachers": (ENGINE,)}, False),
        (guidance_on_demand, {"teachers": (ENGINE,), "student": ENGINE}, False),
    ],
)
def test_methods_that_are_meant_to_work_without_golds_do(
    method: Callable[..., curate.Pipeline], flags: dict[str, Any], goes_on: bool
) -> None:
    pipeline = method(problems=curate.read(sums()), **flags)
    if goes_on:
        assert pipeline.plan().read == 3
    else:
        with pytest.raises(InputError, match="none of the 3 rows read has an answer"):
            pipeline.plan()

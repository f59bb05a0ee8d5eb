"""Where traces are wanted, a row without one is set aside with that reason; a file of none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_cli import refused

from curate.cli import main
from curate.engines.scripted import Scripted
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning
from curate.methods.retro_search import retro_search
from curate.methods.trim_after_answer import trim_after_answer
from curate.run import Run

METHODS = ["curate_traces", "trim_after_answer", "budget_forcing", "refine", "skip_thinking"]
METHODS += ["retro_search", "difficulty_aware_pruning"]
WHO = {"budget_forcing": "teacher", "skip_thinking": "student", "difficulty_aware_pruning": "rewriter"}


def nobody(messages: list[dict[str, str]]) -> str:
    raise AssertionError("it was asked")


@pytest.mark.parametrize("method", METHODS)
def test_a_file_without_any_trace_is_refused_before_any_work(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.jsonl"
    pl.DataFrame({"question": ["2 + 2?"], "answer": ["4"], "reply": ["4"]}).write_ndjson(file)
    asks = method not in ("curate_traces", "trim_after_answer")
    who = [f"--{WHO.get(method, 'reviser')}", f"scripted:{__name__}:nobody"] if asks else []
    flags = [*who, "--out", str(tmp_path / "run"), "--traces"]
    for verb in ("plan", "run"):
        said = refused(capsys, verb, method, *flags, file)
        assert f"read('{file}') has no row with a trace: I looked for response, generations, " in said
        assert "thinking, reasoning_content, and for a turn of the assistant" in said
        assert "FILE?response=…" in said and "rejection_sampling" in said
    if not asks:
        main(["run", method, *flags, f"{file}?response=reply"])  # the remedy, in the same folder
        assert len(Run(tmp_path / "run").traces.collect()) == 1


def test_where_some_rows_have_no_trace_they_are_set_aside_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.jsonl"
    rows = {"question": ["a", "b", "c"], "answer": ["1", "2", "3"], "response": ["1", None, "4"]}
    pl.DataFrame(rows).write_ndjson(file)
    file.write_text(file.read_text() + "{half a row\n")
    command = ["run", "curate_traces", "--out", str(tmp_path / "run"), "--traces", str(file)]
    assert "line 4" in refused(capsys, *command)  # what cannot be read still stops the run, unless told
    main([*command, "--bad-rows", "set_aside"])
    run = Run(tmp_path / "run")
    gone = run.dropped.filter(pl.col("question") == "b").collect()
    assert gone.select("dropped_by", "why", "answer").row(0) == (
        "read",
        "no trace: neither thinking nor a response",
        "2",
    )
    assert run.funnel().table["reasons"][0].to_list() == [
        {"why": "could not be read", "rows": 1},
        {"why": "no trace: neither thinking nor a response", "rows": 1},
    ]
    assert len(run.traces.collect()) == 1


@pytest.mark.parametrize(
    ("method", "who"),
    [(retro_search, "reviser"), (difficulty_aware_pruning, "rewriter"), (trim_after_answer, None)],
)
def test_a_frame_stands_for_a_file_of_problems_or_of_traces(method: Any, who: str | None) -> None:
    model = Scripted(script=nobody)
    asked = {who: model} if who else {}
    problems = pl.DataFrame({"question": ["2 + 2?", "3 + 3?"], "answer": ["4", "6"]})
    assert method(problems=problems, teacher=model, **asked).plan().read == 2
    assert method(traces=problems.with_columns(response="answer"), **asked).plan().read == 2

"""Where traces are wanted, a row without one is set aside with that reason; a file of none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_cli import refused

import curate
from curate.cli import main
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning
from curate.methods.retro_search import retro_search
from curate.methods.trim_after_answer import trim_after_answer
from curate.run import Run
from curate.scores.divergence import Divergence
from curate.scores.length import Length
from curate.scores.perplexity import Perplexity
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs

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


class Thinker(Scripted):
    """Its chat template begins the thinking."""

    async def opened(self, messages: Any) -> str:
        return "<think>\n"


def scores_of(kind: type[Scripted]) -> list[Any]:
    """Steps that ask about the question "full" alone, and what is made of their answers."""

    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        assert messages[-1]["content"] == "full", "it was asked about an empty trace"
        return [(letter, -1.0) for letter in text]

    models = ("teacher", "student")
    return [
        *(TokenLogprobs(kind(model=of, script=["-"], chances=chances), of=of) for of in models),
        *(SentenceLogprob(of) for of in models),
        *(Provenance(), Divergence(), Length("student"), Perplexity("student")),
    ]


@pytest.mark.parametrize("kind", [Scripted, Thinker])
def test_an_empty_trace_stays_with_null_scores_and_nobody_is_asked(
    kind: type[Scripted], tmp_path: Path
) -> None:
    empty = [(None, ""), ("", ""), ("", None), ("\n\n", " "), (None, "\n")]
    rows = pl.DataFrame([*empty, ("so", "4")], schema=["thinking", "response"], orient="row")
    rows = rows.with_columns(question=pl.Series(["a", "b", "c", "d", "e", "full"]))
    steps = scores_of(kind)
    found = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect()
    assert len(found) == 6
    for column in (c for step in steps for c in step.writes):
        assert found.filter(pl.col("question") != "full")[column].null_count() == 5, column
    assert found.filter(question="full").select("student_token_count", "divergence").row(0) == (3, 0.0)


@pytest.mark.parametrize("kind", [Scripted, Thinker])
def test_scores_of_problems_without_traces_are_refused_in_one_sentence(
    kind: type[Scripted], tmp_path: Path
) -> None:
    problems = pl.DataFrame({"question": ["2 + 2?", "3 + 3?"], "answer": ["4", "6"]})
    said = "every call of token_logprobs failed; the first said: this row has no trace; read a file of traces"
    with pytest.raises(UserError, match=said):
        curate.Pipeline(curate.read(problems), scores_of(kind)).run(tmp_path / "run")

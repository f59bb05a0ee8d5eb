"""Traces that somebody else generated become a verified, filtered, decontaminated set.

Each row is verified by what its gold answer is: an option of the question by `choice`, a number or an
expression by `math_equal`, any other text by `exact`. The first verifier that calls the gold its own decides;
the column `verdict` holds what it said.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from curate.columns import Function
from curate.filters.contamination import Contamination
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, read
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.step import Step
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual


def verdict(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The verdict of the first verifier that does not call the gold answer unsupported."""

    def theirs(name: str) -> pl.Expr:
        return ~pl.col(name).struct.field("why").fill_null("unsupported").str.starts_with("unsupported")

    return frame.with_columns(
        verdict=pl.when(theirs("choice"))
        .then("choice")
        .when(theirs("math_equal"))
        .then("math_equal")
        .otherwise("exact")
    )


def curate_traces(
    traces: list[str] | Source,
    *,
    benchmarks: list[str] | None = None,
    trim: bool = False,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Stored traces → complete, verified, distinct ones whose question is in no benchmark.

    Parameters
    ----------
    traces
        files, folders or hub ids with question, gold answer and response; or a Source
    benchmarks
        files of benchmark questions; a trace whose question shares word n-grams with one is set aside
    trim
        cut each thinking after the first thought that states the verified answer, and verify the result again
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    judge: list[Step | Function] = [
        Choice(),
        MathEqual(),
        Exact(),
        verdict,
        Failed("verdict", abstained="drop"),
    ]
    steps: list[Step | Function] = [Truncated(), ExactDuplicates()]
    if benchmarks:
        steps.append(Contamination(tuple(benchmarks)))
    steps += judge
    if trim:
        steps += [TrimAfterAnswer(), *judge]
    return Pipeline(traces if isinstance(traces, Source) else read(traces, bad_rows=bad_rows), steps)

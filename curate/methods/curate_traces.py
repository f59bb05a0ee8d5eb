"""Traces that somebody else generated become a verified, filtered, decontaminated set.

Each row is verified by what its gold answer is: an option of the question by `choice`, a number or an
expression by `math_equal`, any other text by `exact`; `decided` repeats what the first of them said that
calls the gold its own.
"""

from __future__ import annotations

from typing import Literal

from curate.columns import Function
from curate.filters.contamination import Contamination
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_traces
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.step import Step
from curate.verifiers.choice import Choice
from curate.verifiers.decided import Decided
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual


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
        Decided(("choice", "math_equal", "exact")),
        Failed("decided", abstained="drop"),
    ]
    steps: list[Step | Function] = [Truncated(), ExactDuplicates()]
    if benchmarks:
        steps.append(Contamination(tuple(benchmarks)))
    steps += judge
    if trim:
        steps += [TrimAfterAnswer(), *judge]
    return Pipeline(as_traces(traces, bad_rows), steps)

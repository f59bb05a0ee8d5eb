"""Right traces that end their thinking with the first thought that states the answer.

The control of a search that costs no rollout: what can be had by cutting alone. By itself that rule is said
to save 19 to 42 % of the tokens at about equal accuracy (arXiv 2605.13165, its abstract).
"""

from __future__ import annotations

from typing import Literal

from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source, as_traces
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.sample import Sample
from curate.step import Engine
from curate.verifiers.math_equal import MathEqual


def trim_after_answer(
    problems: str | Source | None = None,
    teacher: str | Engine | None = None,
    *,
    traces: list[str] | Source | None = None,
    n: int = 1,
    temperature: float = 0.6,
    top_p: float = 0.95,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Traces of a teacher, or of a file; right ones are trimmed and verified again, the others set aside.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL?model=NAME, or an Engine
    traces
        files or hub ids with traces and gold answers, in place of problems and a teacher
    n
        samples a problem
    temperature
        of sampling; counts only where the teacher is given as text
    top_p
        as temperature
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if (traces is None) == (problems is None) or (problems is None) != (teacher is None):
        raise UserError(
            "trim_after_answer takes the traces of a teacher (problems and teacher), or of files (traces)"
        )
    how = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    births = [] if teacher is None else [Sample(as_engine(teacher, **how), n=n)]
    right = [MathEqual(), Failed("math_equal", abstained="drop")]
    given = [] if traces is None else traces
    source = as_traces(given, bad_rows) if problems is None else as_source(problems, bad_rows)
    return Pipeline(source, [*births, Truncated(), *right, TrimAfterAnswer(), *right])

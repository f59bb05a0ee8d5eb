"""n traces a problem, the k shortest correct ones kept.

Rejection sampling fine-tuning: Yuan et al. 2023, "Scaling Relationship on Learning Mathematical Reasoning
with Large Language Models" (arXiv 2308.01825), which keeps every distinct correct path; keeping the shortest
is this method's default because a student copies length as readily as skill.
"""

from __future__ import annotations

from typing import Literal

from curate.engines import as_engine
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.shortest_k import ShortestK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.sample import Sample
from curate.step import Engine
from curate.verifiers.math_equal import MathEqual


def rejection_sampling(
    problems: str | Source,
    teacher: str | Engine,
    *,
    n: int = 8,
    keep: int = 1,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    model: str | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """n traces a problem; wrong, unjudged, cut and repeated ones set aside; the shortest `keep` stay.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL, scripted:MODULE:FUNCTION, or an Engine
    n
        samples a problem
    keep
        correct traces kept for each problem, the shortest first
    temperature
        of sampling; counts only where the teacher is given as text
    max_tokens
        the longest answer; without it, what the model's context allows
    model
        the name of the model on the server; counts only for server: teachers
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    options = {"model": model} if model else {}
    asked = as_engine(teacher, temperature=temperature, max_tokens=max_tokens, **options)
    return Pipeline(
        as_source(problems, bad_rows),
        [
            Sample(asked, n=n),
            Truncated(),
            MathEqual(),
            Failed("math_equal", abstained="drop"),
            ExactDuplicates(),
            ShortestK(keep),
        ],
    )

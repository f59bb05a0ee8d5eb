"""The shortest right trace of as many samples as the tokens of a Retro-Search would have bought.

The control that a gain of `retro_search` has to be held against: the same problems, the same teacher, as
many tokens spent, and no search.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.shortest_k import ShortestK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.run import Run
from curate.sample import Sample
from curate.schema import SAMPLED
from curate.step import Engine
from curate.verifiers.math_equal import MathEqual


def shortest_of_k(
    problems: str | Source,
    teacher: str | Engine,
    *,
    k: int | None = None,
    like: Path | None = None,
    temperature: float = 0.6,
    top_p: float = 0.95,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """k traces a problem; of the right ones that came to their end the shortest stays.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL?model=NAME, or an Engine
    k
        samples a problem
    like
        in place of k: the folder of a run of retro_search on the same problems, whose tokens count
    temperature
        of sampling; counts only where the teacher is given as text
    top_p
        as temperature
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if (k is None) == (like is None):
        raise UserError("how many samples a problem? Give k, or like, the folder of a run of retro_search")
    teacher = as_engine(teacher, temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    n = affordable(Run(like)) if like is not None else k or 0
    steps = [Sample(teacher, n=n), Truncated(), MathEqual(), Failed("math_equal", abstained="drop")]
    source = as_source(problems, bad_rows)
    return Pipeline(source, [*steps, ShortestK()])


def affordable(run: Run) -> int:
    """As many samples a problem as a run's recipe has paid for in tokens, at its samples' length; 1 or more.

    UserError where the run sampled nothing: then nobody knows what a sample costs.
    """
    asked = run.paid.filter(pl.col("step") == "sample")
    problems = len(run.dropped.filter(pl.col("why") == SAMPLED).collect())
    samples, tokens, spent = (
        int(table[c].sum())
        for table, c in ((asked, "calls"), (asked, "output_tokens"), (run.paid, "output_tokens"))
    )
    if not samples or not problems:
        raise UserError(
            f"the run in {run.folder} sampled nothing, so it does not say what a sample costs; give k"
        )
    return max(1, round(spent / (tokens / samples) / problems))

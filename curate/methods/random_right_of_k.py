"""A right trace of each problem, drawn from k: what a choice among right traces has to be better than."""

from __future__ import annotations

from typing import Literal

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.filters.failed import Failed
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.sample import Sample
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual


def random_right_of_k(
    problems: str | Source,
    teacher: str | Engine,
    *,
    k: int = 8,
    temperature: float = 0.6,
    top_p: float = 0.95,
    max_tokens: int | None = None,
    seed: int = 0,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """k traces a problem; of the right ones that came to their end one stays, whichever the seed draws.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL?model=NAME, or an Engine
    k
        samples a problem
    temperature
        of sampling; counts only where the teacher is given as text
    top_p
        as temperature
    max_tokens
        the longest answer; without it, what the model's context allows
    seed
        of the choice
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    teacher = as_engine(teacher, temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    steps: list[Step | Function] = [
        Sample(teacher, n=k),
        Truncated(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
        _lot(seed),
        TopK(("lot",)),
    ]
    source = as_source(problems, bad_rows)
    return Pipeline(source, steps)


def _lot(seed: int) -> Function:
    """Adds `lot`, a number from 0 to 1 that hangs on the trace and the seed."""
    at, turn = (
        seed % 24,
        (seed * 2_654_435_761) % 2**32,
    )  # ids are hashes: any eight of their digits are random

    def lot(frame: pl.LazyFrame) -> pl.LazyFrame:
        digits = pl.col("trace_id").str.slice(at, 8).str.to_integer(base=16)
        return frame.with_columns(lot=(digits ^ pl.lit(turn, pl.Int64)) / 2**32)

    return lot

"""A row whose problem lacks a trace of one of several models goes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class AnsweredByAll(Filter):
    """Leaves corpora that share their problems, so that models can be compared by them ("Not All Correct
    Answers Are Equal", arXiv:2505.14464): every model has a trace of every problem that stays.

    models: as the column `model` names them. Traces of other models stay or go with their problem; so do
    problems that nobody has answered. Put it after the filters that set wrong traces aside.
    """

    models: tuple[str, ...]
    reads = ("problem_id", "trace_id", "model")
    example_fields = {"models": ("a", "b")}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "model": "a"},
                {"problem_id": "p", "trace_id": "t2", "model": "b"},
                {"problem_id": "q", "trace_id": "t3", "model": "a"},
                {"problem_id": "q", "trace_id": "t4", "model": "a"},
            ],
            [False, False, True, True],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.models) < 2:
            raise UserError(f"models={self.models!r} are no two models; write models=('one', 'other')")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        wanted = pl.Series(sorted(set(self.models)))
        traces = frame.filter(pl.col("trace_id").is_not_null())
        has = traces.group_by("problem_id").agg(has=pl.col("model").unique())
        rows = frame.select("row", "problem_id").join(has, on="problem_id", how="left")
        lacks = pl.lit(wanted.implode()).list.set_difference(pl.col("has").fill_null([])).list.sort()
        gone = rows.with_columns(lacks=lacks).filter(pl.col("lacks").list.len() > 0)
        return gone.select("row", why=pl.format("no trace by {}", pl.col("lacks").list.join(", ")))

"""Of each problem's traces only the k shortest stay."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class ShortestK(Filter):
    """Length is the characters of thinking and response together; ties go by trace_id, then by place.

    It does not ask whether a trace is right: put it after the filter that does. Characters and not tokens,
    because a stored trace often has no count, and two models count differently. A problem that nobody has
    answered yet stays.
    """

    k: int = 1
    reads = ("problem_id", "trace_id", "thinking", "response")
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "thinking": "one and one is two", "response": "2"},
                {"problem_id": "p", "trace_id": "t2", "thinking": "1 + 1 = 2", "response": "2"},
                {
                    "problem_id": "q",
                    "trace_id": "t3",
                    "thinking": None,
                    "response": "a longer answer than both above",
                },
            ],
            [True, False, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise UserError(f"k={self.k} would keep no trace of any problem; give 1 or more")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        length = sum(pl.col(c).str.len_chars().fill_null(0).cast(pl.Int64) for c in ("thinking", "response"))
        rows = frame.filter(pl.col("trace_id").is_not_null())
        sized = rows.select("row", "problem_id", "trace_id", length=length)
        place = pl.int_range(1, pl.len() + 1).over("problem_id", order_by=["length", "trace_id", "row"])
        ranked = sized.with_columns(place=place, of=pl.len().over("problem_id"))
        why = pl.format("number {} of {} by length ({} characters)", "place", "of", "length")
        return ranked.filter(pl.col("place") > self.k).select("row", why=why)

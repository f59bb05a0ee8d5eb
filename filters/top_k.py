"""Of each problem's traces only the k with the highest score stay."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class TopK(Filter):
    """As in polars: the k largest by the first column of `by`, ties by the next ones, and then by trace_id.

    reverse: for which columns of `by` the smallest are wanted. Null and NaN come after every number, so a
    trace without a score stays only where fewer than k have one. per: the column within whose values is
    counted; None counts over the whole table. A problem that nobody has answered yet stays.
    """

    by: tuple[str, ...]
    k: int = 1
    per: str | None = "problem_id"
    reverse: tuple[bool, ...] = ()
    reads = ("problem_id", "trace_id")
    takes = {"by": "plain values", "per": "plain values"}
    example_fields = {"by": ("output_tokens", "prompt_tokens"), "reverse": (False, True)}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "output_tokens": 7, "prompt_tokens": 3},
                {"problem_id": "p", "trace_id": "t2", "output_tokens": 7, "prompt_tokens": 2},
                {"problem_id": "p", "trace_id": "t3", "output_tokens": None, "prompt_tokens": 1},
                {"problem_id": "q", "trace_id": "t4", "output_tokens": None, "prompt_tokens": 1},
                {"problem_id": "q", "trace_id": None, "output_tokens": None, "prompt_tokens": None},
            ],
            [True, False, True, False, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise UserError(f"k={self.k} would keep no trace at all; give 1 or more")
        if not self.by:
            raise UserError("top_k needs a column to sort by; write by=('output_tokens',)")
        if len(self.reverse) not in (0, len(self.by)):
            raise UserError(
                f"reverse={self.reverse} has {len(self.reverse)} entries for {len(self.by)} columns"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.reads, *self.by, *([self.per] if self.per else []))))

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        kinds = frame.collect_schema()
        ranks = {f"by {i}": pl.col(c).fill_nan(None) if kinds[c].is_float() else pl.col(c)
                 for i, c in enumerate(self.by)}  # fmt: skip
        up = self.reverse or (False,) * len(self.by)
        rows = frame.filter(pl.col("trace_id").is_not_null()).with_columns(**ranks)
        rows = rows.sort(
            [*ranks, "trace_id", "row"],
            descending=[*(not r for r in up), False, False],
            nulls_last=True,
        )
        place, number = pl.int_range(1, pl.len() + 1), pl.len()
        if self.per:
            place, number = place.over(self.per), number.over(self.per)
        value = pl.col("by 0").cast(pl.String).fill_null("none")
        ranked = rows.with_columns(place=place, of=number)
        why = pl.format("number {} of {} by {} ({})", "place", "of", pl.lit(self.by[0]), value)
        return ranked.filter(pl.col("place") > self.k).select("row", why=why)

"""Of every domain, teacher or difficulty no more rows stay than its quota."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.schema import content_hash
from curate.step import Filter


@dataclass(frozen=True)
class Quota(Filter):
    """`per` names the columns within whose values is counted: ("domain",), ("domain", "model"), or any that a
    function has added, such as a difficulty. Each combination of values, null among them, keeps k rows.

    counts: other quotas than k for some values, where `per` is a single column: {"math": 400, "code": 100};
    a quota of 0 keeps none, so with k=0 only what is listed stays. Which rows stay is drawn by seed,
    problem_id and trace_id, not by the order of rows; raising a quota keeps what it kept. by: keep those
    with the highest score instead, null and NaN last, ties by the same draw. Rows of problems that nobody
    has answered yet count, so that it may stand before `Sample`.
    """

    per: tuple[str, ...]
    k: int | None = None
    counts: Mapping[str, int] | None = None
    by: str | None = None
    seed: int = 0
    reads = ("problem_id", "trace_id")
    takes = {"per": "plain values", "by": "plain values"}
    example_fields = {"per": ("domain",), "k": 1, "by": "output_tokens"}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "domain": "math", "output_tokens": 5},
                {"problem_id": "q", "trace_id": "t2", "domain": "math", "output_tokens": 7},
                {"problem_id": "r", "trace_id": "t3", "domain": "code", "output_tokens": None},
                {"problem_id": "s", "trace_id": "t4", "domain": None, "output_tokens": 1},
                {"problem_id": "s", "trace_id": "t5", "domain": None, "output_tokens": None},
            ],
            [True, False, False, False, True],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.per:
            raise UserError("a quota needs a column whose values it counts; write per=('domain',)")
        if self.k is None and not self.counts:
            raise UserError("a quota needs a number: k for all values, counts for some, or both")
        if self.counts and len(self.per) > 1:
            raise UserError(
                f"counts={dict(self.counts)} names values of one column; per={self.per} are several"
            )
        numbers = [n for n in (self.k, *(self.counts or {}).values()) if n is not None]
        if min(numbers) < 0:
            raise UserError(f"a quota of {min(numbers)} rows cannot be; give 0 or more")
        if self.k == 0 == max(numbers):
            raise UserError("k=0 keeps nothing; give 1 or more, or counts of the values that stay")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.reads, *self.per, *([self.by] if self.by else []))))

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        kinds = frame.collect_schema()
        score = pl.lit(0) if self.by is None else pl.col(self.by)
        if self.by and kinds[self.by].is_float():
            score = score.fill_nan(None)
        cell = pl.concat_str([pl.col(c).cast(pl.String).fill_null("none") for c in self.per], separator=", ")
        groups = [pl.col(c).alias(f"per {i}") for i, c in enumerate(self.per)]
        table = frame.select("row", "problem_id", "trace_id", *groups, score=score, cell=cell).collect()
        drawn = [content_hash(self.seed, *ids) for ids in table.select("problem_id", "trace_id").iter_rows()]
        table = table.with_columns(drawn=pl.Series(drawn, dtype=pl.String), most=self._most())
        table = table.sort("score", "drawn", "row", descending=[True, False, False], nulls_last=True)
        names = [f"per {i}" for i in range(len(self.per))]
        ranked = table.with_columns(place=pl.int_range(1, pl.len() + 1).over(names), of=pl.len().over(names))
        why = pl.format("number {} of {} in {} ({} stay)", "place", "of", "cell", "most")
        return ranked.lazy().filter(pl.col("place") > pl.col("most")).select("row", why=why)

    def _most(self) -> pl.Expr:
        """How many rows of this row's cell stay; null, which keeps all, where nobody said."""
        rest = pl.lit(self.k, pl.Int64)
        if not self.counts:
            return rest
        known = list(self.counts)
        value = pl.col("per 0").cast(pl.String)
        return value.replace_strict(
            known, [self.counts[c] for c in known], default=rest, return_dtype=pl.Int64
        )

"""A row whose score lies outside of a band goes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class ScoreBand(Filter):
    """Keeps what has low ≤ score ≤ high, both included; without one of them the band is open there.

    score: the column of any number: `pass_rate`, `divergence`, `student_perplexity`. A row without a score
    (null) stays; one whose score is not a number (NaN) goes.
    """

    score: str
    low: float | None = None
    high: float | None = None
    takes = {"score": "numbers"}
    example_fields = {"score": "output_tokens", "low": 2.0, "high": 4.5}
    examples = (
        ({"output_tokens": 1}, True),
        ({"output_tokens": 2}, False),
        ({"output_tokens": 4}, False),
        ({"output_tokens": 5}, True),
        ({"output_tokens": None}, False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise UserError(f"every {self.score} lies in a band without ends; give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UserError(f"no {self.score} lies between low={self.low} and high={self.high}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.score,)

    def expr(self) -> pl.Expr:
        value = pl.col(self.score).cast(pl.Float64)
        reason = pl.lit(None, pl.String)
        for end, outside, sign in ((self.low, value.__lt__, "<"), (self.high, value.__gt__, ">")):
            if end is not None:
                said = pl.format("{} {} {} {}", pl.lit(self.score), value, pl.lit(sign), pl.lit(end))
                reason = pl.when(outside(end) | value.is_nan()).then(said).otherwise(reason)
        return reason

"""A row whose problem a student solves too often or too seldom goes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class PassRateBand(Filter):
    """Keeps low ≤ rate ≤ high, both included, of the columns that `student_pass_rate` writes.

    A rate is measured with few samples: with 8, its standard error at 0.5 is 0.18. z: a problem goes only if
    the Wilson interval of its rate, so many standard errors wide to each side, lies outside of the band
    altogether; 0 takes the rate as it was measured, 1.96 is the 95 % interval. A problem of which no sample
    was judged, and a row that nobody asked about, stay.

    high: 0.5 is inferred; DED (arXiv:2508.09883) drops what is "too easy" and names no number. Gold answers
    that are wrong look like hard problems: what is never solved is worth a look.
    """

    of: str = "student"
    low: float = 0.0
    high: float = 0.5
    z: float = 0.0
    example_fields = {"low": 0.1}
    examples = (
        ({"student_pass_rate": 0.5, "student_pass_rate_judged": 8}, False),
        ({"student_pass_rate": 0.625, "student_pass_rate_judged": 8}, True),
        ({"student_pass_rate": 0.0, "student_pass_rate_judged": 8}, True),
        ({"student_pass_rate": None, "student_pass_rate_judged": 0}, False),
        ({"student_pass_rate": None, "student_pass_rate_judged": None}, False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low <= self.high <= 1:
            raise UserError(
                f"no pass rate lies between low={self.low} and high={self.high}; 0 ≤ low ≤ high ≤ 1"
            )
        if self.z < 0:
            raise UserError(f"z={self.z} standard errors have no width; give 0 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.of}_pass_rate", f"{self.of}_pass_rate_judged")

    def expr(self) -> pl.Expr:
        rate, n = (pl.col(c).cast(pl.Float64) for c in self.columns)
        middle = (rate + self.z**2 / (2 * n)) / (1 + self.z**2 / n)
        half = self.z / (1 + self.z**2 / n) * (rate * (1 - rate) / n + self.z**2 / (4 * n**2)).sqrt()
        solved = ((rate * n).round().cast(pl.Int64), n.cast(pl.Int64), pl.lit(self.of))
        easy = pl.format("{} of {} samples of the {} pass: too easy", *solved)
        hard = pl.format("{} of {} samples of the {} pass: too hard", *solved)
        # What is exactly at an end stays, whatever the arithmetic of the interval rounds to.
        above = (rate > self.high) & (middle - half > self.high)
        below = (rate < self.low) & (middle + half < self.low)
        return pl.when(above).then(easy).when(below).then(hard)

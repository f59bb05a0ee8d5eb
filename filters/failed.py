"""A row whose verdict is "not passed" goes; on request, so does a row whose verifier abstained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from curate.step import Filter


@dataclass(frozen=True)
class Failed(Filter):
    """Sets aside what a verifier failed. It judges nothing itself, and says what the verifier said.

    verdict: the name of the verifier, which is the name of its column. abstained: "keep" leaves a row without
    a verdict (`passed` is null, or nobody judged it) in the table; "drop" sets it aside too; "without_gold"
    keeps those alone of which the verifier says `no_gold`.
    """

    verdict: str
    abstained: Literal["keep", "without_gold", "drop"] = "keep"
    takes = {"verdict": "verdicts"}
    example_fields = {"verdict": "math_equal", "abstained": "drop"}
    examples = (
        ({"math_equal": {"passed": True, "score": 1.0, "extracted": "4", "why": "equal"}}, False),
        ({"math_equal": {"passed": False, "score": 0.0, "extracted": "5", "why": "different"}}, True),
        ({"math_equal": {"passed": None, "score": None, "extracted": None, "why": "timeout"}}, True),
        ({"math_equal": None}, True),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.verdict,)

    def expr(self) -> pl.Expr:
        verdict = pl.col(self.verdict).struct
        passed, why = verdict.field("passed"), verdict.field("why")
        failed = pl.format("{}: {}", pl.lit(self.verdict), why.fill_null("no reason given"))
        unsure = pl.format("{} abstains: {}", pl.lit(self.verdict), why.fill_null("it was never asked"))
        reason = pl.when(passed.not_()).then(failed)
        if self.abstained == "keep":
            return reason
        undecided = passed.is_null()
        if self.abstained == "without_gold":
            undecided &= ~why.str.starts_with("no_gold").fill_null(False)
        return reason.when(undecided).then(unsure)

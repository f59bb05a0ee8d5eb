"""Every trace has the share of its problem's traces, by the same model, that passed a verifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.step import Score


@dataclass(frozen=True)
class PassRate(Score):
    """`pass_rate`: passed / (passed + failed) over the rows of one problem and one `model`, from 0 to 1.

    It belongs to the model that is named in the row, and to the rows that are in the table when the step is
    reached: put it before the filter that drops what failed. Verdicts that abstain count on neither side.
    Null: no trace of this problem and model has a verdict.

    verdict: the name of the verifier, which is the name of its column.
    """

    verdict: str = "math_equal"
    reads = ("problem_id", "model")
    examples = (
        (
            dict(problem_id="p", math_equal={"passed": True, "score": 1.0, "extracted": "4", "why": "equal"}),
            dict(pass_rate=1.0),
        ),
        (
            dict(problem_id="p", math_equal={"passed": None, "score": 0, "extracted": "4", "why": "timeout"}),
            dict(pass_rate=None),
        ),
        (dict(problem_id="p", math_equal=None), dict(pass_rate=None)),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.verdict)

    @property
    def writes(self) -> dict[str, Any]:
        return {"pass_rate": pl.Float64}

    def expr(self) -> pl.Expr:
        passed = pl.col(self.verdict).struct.field("passed").cast(pl.Float64)
        return passed.mean().over("problem_id", "model").alias("pass_rate")

"""Every trace has the share of its problem's traces, by the same model, that passed a verifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.step import Score


@dataclass(frozen=True)
class PassRate(Score):
    """`pass_rate`: passed / (passed + failed) over the rows of one problem and one `model`, from 0 to 1.

    It belongs to the rows that are in the table when the step is reached: put it before the filter that drops
    what failed. It goes by the model's name, for a trace holds no fingerprint: traces of two checkpoints, or
    two temperatures, under one name share a rate. What is tied to a checkpoint is `student_pass_rate`, which
    asks. Verdicts that abstain count on neither side. Null: no trace of this problem and model has a verdict.

    verdict: the name of the verifier, which is the name of its column.
    """

    verdict: str = "math_equal"
    reads = ("problem_id", "model")
    takes = {"verdict": "verdicts"}
    examples = (
        (
            [
                dict(
                    problem_id=problem,
                    math_equal=passed and {**passed, "score": None, "extracted": "4", "why": "…"},
                )
                for problem, passed in (
                    ("p", {"passed": True}),
                    ("p", {"passed": False}),
                    ("q", {"passed": None}),
                    ("r", None),
                )
            ],
            [dict(pass_rate=0.5), dict(pass_rate=0.5), dict(pass_rate=None), dict(pass_rate=None)],
        ),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.verdict)

    @property
    def writes(self) -> dict[str, Any]:
        return {"pass_rate": pl.Float64}

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Over a few columns: a window in the run's own plan would hold the texts of the whole table."""
        passed = pl.col(self.verdict).struct.field("passed").cast(pl.Float64)
        return frame.select("row", pass_rate=passed.mean().over("problem_id", "model"))

"""The trace gives the answer that most traces of its problem give (self-consistency, Wang et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from curate.errors import UserError
from curate.schema import VERDICT
from curate.step import Verifier
from curate.votes import ballots, first_of, piece, tally


@dataclass(frozen=True)
class Agree(Verifier):
    r"""Needs no gold answer, and knows nothing of the truth: a mistake that most samples share passes.

    Every trace of the table has one vote. Answers that are cheaply seen equal are one: 1/2 and 0.5, 28 and 28
    birds, 3 and 3 km where nobody says 3 miles. `score` is the share of the votes that were cast for this
    trace's answer. A trace without an answer has no vote and is false.

    verdict: the column whose `extracted` is the vote; None takes the final answer of the response.
    min_votes: with fewer votes on a problem all its traces abstain (too_few_votes).
    ties: what is said of the answers that share the first place; the others are false in any case.
    """

    verdict: str | None = None
    min_votes: int = 3
    ties: Literal["abstain", "pass", "fail"] = "abstain"
    version = 2
    reads = ("problem_id", "trace_id")
    takes = {"verdict": "verdicts"}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "response": r"so \boxed{4}"},
                {"problem_id": "p", "trace_id": "t2", "response": "The answer is 4."},
                {"problem_id": "p", "trace_id": "t3", "response": r"\boxed{5}"},
            ],
            [True, True, False],
        ),
        (
            [
                {"problem_id": "p", "trace_id": "t1", "response": r"\boxed{4}"},
                {"problem_id": "p", "trace_id": "t2", "response": r"\boxed{4}"},
            ],
            [None, None],
        ),
        (
            [
                {"problem_id": "p", "trace_id": f"t{i}", "response": rf"\boxed{{{n}}}"}
                for i, n in enumerate((4, 4, 5, 5, 6))
            ],
            [None, None, None, None, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_votes < 1:
            raise UserError(f"min_votes={self.min_votes}: a majority takes 1 vote or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.verdict or "response")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        rows = tally(ballots(frame, self.verdict)).lazy()
        passed, why = self._passed(), self._why()
        score = pl.col("votes") / pl.col("cast")  # null without a vote
        verdict = pl.struct(passed=passed, score=score, extracted=pl.col("said"), why=why)
        return rows.select("row", verdict.cast(VERDICT).alias(self.name))

    def _passed(self) -> pl.Expr:
        unsure = (pl.col("cast") < self.min_votes) | pl.col("no_vote").str.starts_with("unsupported")
        behind = pl.col("no_vote").is_not_null() | (pl.col("votes") < pl.col("top"))
        drawn = pl.lit({"abstain": None, "pass": True, "fail": False}[self.ties], pl.Boolean)
        null, no, yes = pl.lit(None, pl.Boolean), pl.lit(False), pl.lit(True)
        return first_of((unsure, null), (behind, no), (pl.col("winners") > 1, drawn), otherwise=yes)

    def _why(self) -> pl.Expr:
        votes, cast, top, winners = (pl.col(c) for c in ("votes", "cast", "top", "winners"))
        most = piece(pl.col("majority"))
        return first_of(
            (cast < self.min_votes, pl.format("too_few_votes: {} of {}", cast, pl.lit(self.min_votes))),
            (pl.col("no_vote").is_not_null(), pl.col("no_vote")),
            (
                (votes < top) & (winners > 1),
                pl.format("different: others have {} of {} votes", top, cast),
            ),
            (votes < top, pl.format("different: {} of {} votes say {}", top, cast, most)),
            (winners > 1, pl.format("tie: {} answers have {} of {} votes", winners, top, cast)),
            otherwise=pl.format("equal: {} of {} votes", votes, cast),
        )

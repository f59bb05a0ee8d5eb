"""The problem's gold answer is the one that most of its traces give; a conflict is reported, never mended."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.schema import VERDICT
from curate.step import Verifier
from curate.votes import ballots, first_of, piece, tally


@dataclass(frozen=True)
class GoldAudit(Verifier):
    """Judges the gold, so all traces of a problem have one verdict. The column `answer` stays what it is.

    True: the majority gives the gold. False: most traces agree on something else (why: `different: 6 of 8
    votes say 12, the gold is 13`), and a person should look: the gold is wrong, or the model is. `extracted`
    is the majority's answer, `score` its share of the votes. Null: no gold, no clear majority, or a majority
    that the verdict abstains from.

    verdict: the verifier that compared each trace with the gold; what it passed counts as the gold, and what
    it extracted from the others is counted as by `agree`. min_votes: fewer votes on a problem say nothing.
    min_share: a majority must have more than this share of the votes.
    """

    verdict: str = "math_equal"
    min_votes: int = 3
    min_share: float = 0.5
    reads = ("problem_id", "trace_id", "answer")
    takes = {"verdict": "verdicts"}
    examples = (
        (
            [
                {
                    "problem_id": problem,
                    "trace_id": f"{problem}{i}",
                    "answer": "13",
                    "math_equal": {"passed": said == "13", "score": None, "extracted": said, "why": "…"},
                }
                for problem, answers in (("p", "13 13 12"), ("q", "12 12 13"), ("r", "11 12 13"), ("s", "13"))
                for i, said in enumerate(answers.split())
            ],
            [True] * 3 + [False] * 3 + [None] * 4,
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_votes < 1 or not 0 <= self.min_share < 1:
            raise UserError(
                f"min_votes={self.min_votes} must be 1 or more, and min_share={self.min_share} from 0 to "
                "below 1"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.verdict)

    @property
    def needs_gold(self) -> bool:
        return True

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        # One question with two golds is two problems here: each gold is held against its own traces.
        own = frame.with_columns(problem_id=pl.concat_str("problem_id", "answer", ignore_nulls=True))
        votes = ballots(own, self.verdict)
        gold = pl.when("passed").then(pl.lit(0, pl.UInt64)).otherwise("key")  # all that passed is one answer
        votes = tally(votes.with_columns(key=gold))
        leads = (pl.col("votes") == pl.col("top")).fill_null(False)
        of_problem = votes.group_by("problem").agg(
            right=(leads & pl.col("passed")).any(),
            wrong=(leads & ~pl.col("passed")).any(),
            invalid=pl.col("no_vote").str.contains("gold_invalid", literal=True).any(),
        )
        said = votes.join(of_problem, on="problem").drop("passed", "said", "no_vote").lazy()
        answers = frame.select("row", "answer")
        rows = answers.join(said, on="row", how="inner")
        return rows.select("row", self._verdict().cast(VERDICT).alias(self.name))

    def _verdict(self) -> pl.Expr:
        cast, top, answer = pl.col("cast"), pl.col("top"), pl.col("answer")
        majority = pl.coalesce("majority", "answer")
        says = pl.format("{} of {} votes say {}", top, cast, piece(majority))
        no_gold, few = answer.is_null(), cast < self.min_votes
        tied, weak = pl.col("winners") > 1, top / cast <= self.min_share
        why = first_of(
            (no_gold, pl.lit("no_gold")),
            (pl.col("invalid"), pl.lit("gold_invalid")),
            (few, pl.format("too_few_votes: {} of {}", cast, pl.lit(self.min_votes))),
            (tied, pl.format("tie: {} answers have {} of {} votes", "winners", top, cast)),
            (weak, pl.format("too_few_votes: {}", says)),
            (pl.col("right"), pl.format("equal: {}", says)),
            (pl.col("wrong"), pl.format("different: {}, the gold is {}", says, piece(answer))),
            otherwise=pl.format("unsupported: {} abstains where {}", pl.lit(self.verdict), says),
        )
        unsure = no_gold | pl.col("invalid") | few | tied | weak
        null, no, yes = pl.lit(None, pl.Boolean), pl.lit(False), pl.lit(True)
        passed = first_of((unsure, null), (pl.col("right"), yes), (pl.col("wrong"), no), otherwise=null)
        score, extracted = pl.when(cast > 0).then(top / cast), pl.when(~unsure).then(majority)
        return pl.struct(passed=passed, score=score, extracted=extracted, why=why)

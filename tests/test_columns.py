"""What a step's arguments name is looked at before anything is paid: a column of the right type, and once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import InputError, UserError
from curate.filters.failed import Failed
from curate.filters.length_matched import LengthMatched
from curate.filters.not_rewritten import NotRewritten
from curate.filters.quota import Quota
from curate.filters.score_band import ScoreBand
from curate.filters.top_k import TopK
from curate.scores.comprehension import Comprehension
from curate.scores.divergence import Divergence
from curate.scores.fidelity import Fidelity
from curate.scores.pass_rate import PassRate
from curate.scores.perplexity import Perplexity
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.scores.topk_divergence import TopkDivergence
from curate.step import Filter
from curate.turns import TOP
from curate.verifiers.agree import Agree
from curate.verifiers.decided import Decided
from curate.verifiers.gold_audit import GoldAudit
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual


def model(name: str) -> Any:
    return Scripted(script=["-"], model=name, chances=lambda messages, text: [(c, -1.0) for c in text])


ENGINE = model("m")
OTHER = model("n")
VERDICTS, PLAIN, NUMBERS = "a column of verdicts", "a column of plain values", "a column of numbers"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            TopK(("output_tokens", "math_equal")),
            f"by takes {PLAIN}, and 'math_equal' is of type Struct",
        ),
        (
            TopK(("output_tokens",), per="messages"),
            f"per takes {PLAIN}, and 'messages' is of type List",
        ),
        (Quota(("domain", "messages"), k=1), f"quota: per takes {PLAIN}"),
        (Quota(("domain",), k=1, by="messages"), f"quota: by takes {PLAIN}"),
        (
            ScoreBand("question", low=1),
            f"score_band: score takes {NUMBERS}, and 'question' is of type String; "
            "such columns are: sample, prompt_tokens, output_tokens",
        ),
        (
            LengthMatched("question"),
            "length_matched: chosen takes a column of true and false.*; no step before it writes such",
        ),
        (LengthMatched("picked", length="question"), f"length_matched: length takes {NUMBERS}"),
        (NotRewritten("question"), "not_rewritten: rewriter takes a column of a rewriter's record"),
        (NotRewritten("math_equal"), "not_rewritten: rewriter takes a column of a rewriter's record"),
        (Failed("question"), f"failed: verdict takes {VERDICTS}.*; such columns are: math_equal$"),
        (PassRate("model"), f"pass_rate: verdict takes {VERDICTS}"),
        (Fidelity("T", "question"), f"fidelity: verdict takes {VERDICTS}"),
        (Comprehension(ENGINE, verdict="question"), f"comprehension: verdict takes {VERDICTS}"),
        (Comprehension(ENGINE, control="messages"), "comprehension: control takes a column of text"),
        (Agree(verdict="question"), f"agree: verdict takes {VERDICTS}"),
        (GoldAudit(verdict="question"), f"gold_audit: verdict takes {VERDICTS}"),
        (Decided(("math_equal", "question")), f"decided: verdicts takes {VERDICTS}, and 'question'"),
        (Judge(ENGINE, after=("question",)), f"judge: after takes {VERDICTS}"),
    ],
)
def test_a_column_of_another_type_is_refused_with_those_that_would_do(step: Any, said: str) -> None:
    def picked(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(picked=pl.lit(True))

    chosen = [picked] if step == LengthMatched("picked", length="question") else []
    with pytest.raises(InputError, match=said):
        schemas([MathEqual(), *chosen, step])


def test_a_column_that_would_do_is_taken() -> None:
    def added(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(hard=pl.lit(True), size=pl.lit(1, pl.UInt8), none=pl.lit(None))

    steps = [TopK(("hard", "question", "size", "none")), ScoreBand("hard", low=1), ScoreBand("none", low=1)]
    steps += [LengthMatched("hard", length="size"), Quota(("hard",), k=1), Failed("math_equal"), Agree()]
    schemas([MathEqual(), added, *steps])


@pytest.mark.parametrize("step", [Provenance, Divergence, TopkDivergence])
def test_a_model_is_not_compared_with_itself(step: Any) -> None:
    def top(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(teacher_top=pl.lit(None, TOP))

    scored = [TokenLogprobs(ENGINE, of="teacher"), SentenceLogprob("teacher"), top]
    with pytest.raises(InputError, match="is given the column 'teacher_[a-z]+' for two things"):
        schemas([*scored, step(teacher="teacher", student="teacher")])
    with pytest.raises(InputError, match="length_matched is given the column 'hard' for two things"):
        schemas([lambda frame: frame.with_columns(hard=pl.lit(True)), LengthMatched("hard", length="hard")])


def test_what_a_score_was_paid_for_is_not_written_over_unread() -> None:
    one, other = TokenLogprobs(ENGINE), TokenLogprobs(OTHER)
    for between in ([], [MathEqual()]):
        with pytest.raises(InputError, match=r"'model_[a-z]+' over what another token_logprobs wrote .*`of`"):
            schemas([one, *between, other])
    schemas([one, one])
    schemas([one, Perplexity(), ScoreBand("model_perplexity", high=9), other])  # read in part is read
    schemas([one, lambda frame: frame.with_columns(mine=pl.col("model_tokens")), other])
    schemas([one, TokenLogprobs(OTHER, of="other")])
    judges = Judge(ENGINE), Judge(OTHER)
    with pytest.raises(InputError, match="judge writes the column 'judge' over what another judge wrote"):
        schemas([MathEqual(), *judges])
    schemas([MathEqual(), judges[0], Failed("judge"), judges[1]])


def test_what_a_step_of_ones_own_takes_has_to_be_known_and_read() -> None:
    @dataclass(frozen=True)
    class Mine(Filter):
        column: str = "output_tokens"
        takes = {"column": "number"}
        reads = ("question",)

        def expr(self) -> pl.Expr:
            return pl.lit(None, pl.String)

    with pytest.raises(InputError, match=r"mine: takes\['column'\] says 'number'; there is numbers, plain"):
        schemas([Mine()])
    Mine.takes = {"column": "numbers"}
    with pytest.raises(InputError, match="mine takes 'output_tokens' for column; name it in `columns`, too"):
        schemas([Mine()])


def test_what_is_no_number_bounds_nothing() -> None:
    with pytest.raises(UserError, match="score_band: low is a number or None, not nan"):
        ScoreBand("output_tokens", low=math.nan)


def schemas(steps: list[Any]) -> None:
    """What `plan` and `run` begin with."""
    curate.Pipeline(curate.read(pl.DataFrame({"question": ["?"], "response": ["4"]})), steps).schemas()

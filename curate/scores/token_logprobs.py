"""Every token of a trace has the log-probability that a model gives it, after all that stands before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.errors import CallFailed, UserError
from curate.schema import SPANS, Row
from curate.step import Engine, Score, TokenScores, model_name
from curate.turns import Turn, asked_of, turn_of


@dataclass(frozen=True)
class TokenLogprobs(Score):
    """What other scores are made of: sentences, perplexity, divergence and provenance cost nothing more.

    Writes, under the name in `of` ("teacher", "student"): `{of}_tokens`, a span for each token of thinking
    and response with its natural log-probability (at temperature 1) as value; `{of}_model` and
    `{of}_fingerprint`, whose opinion it is. Tokens of the delimiters between the two are left out; a token
    that reaches over one belongs where its first character that is no space stands. Null in all three: the
    row has no text.

    A trace longer than the model's context is set aside, never cut, and so is one without thinking where
    the model's template begins the thinking, and one with a log-probability that is no number.
    """

    engine: Engine
    of: str = "model"
    reads = ("question", "messages", "thinking", "response")
    replies = ("Two.",)
    examples = (
        (
            dict(question="1 + 1?", response="Two."),
            dict(
                model_tokens=[dict(field="response", start=0, end=4, label=None, value=0.0)],
                model_model="scripted",
                model_fingerprint=...,
            ),
        ),
    )

    def __post_init__(self) -> None:
        if not callable(getattr(self.engine, "score", None)):
            raise UserError(f"the engine {self.engine.model!r} cannot score a text; use an hf: engine")
        if not self.of.isidentifier():
            raise UserError(f"of={self.of!r} begins the names of columns; use letters, digits and _")

    @property
    def writes(self) -> dict[str, Any]:
        return {
            f"{self.of}_tokens": SPANS,
            f"{self.of}_model": pl.String,
            f"{self.of}_fingerprint": pl.String,
        }

    async def ask(self, row: Row) -> Mapping[str, Any]:
        messages = asked_of(row)
        opened = self.engine.opened(messages) if hasattr(self.engine, "opened") else ""
        turn = turn_of(row, opened)
        if turn is None:
            raise CallFailed("the model's chat template begins its thinking, and this trace has none")
        if not turn.text:
            return dict.fromkeys(self.writes)
        scores = await self.engine.score(messages, turn.text)  # type: ignore[attr-defined]
        if any(math.isnan(value) for value in scores.logprob):
            raise CallFailed(f"{model_name(self.engine)} gives a log-probability that is no number (NaN)")
        values = (spans_of(turn, scores), model_name(self.engine), self.engine.fingerprint)
        return dict(zip(self.writes, values, strict=True))


def spans_of(turn: Turn, scores: TokenScores) -> list[dict[str, Any]]:
    """The tokens that belong to a field, with offsets in that field."""
    spans = []
    for start, end, logprob in zip(scores.start, scores.end, scores.logprob, strict=True):
        token = turn.text[start:end]
        first = start + len(token) - len(token.lstrip()) if token.strip() else start
        for field in turn.fields:
            if field.start <= first < field.end:
                begin, stop = max(start, field.start) - field.start, min(end, field.end) - field.start
                spans.append(dict(field=field.name, start=begin, end=stop, label=None, value=logprob))
    return spans

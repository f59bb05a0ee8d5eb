"""Every token of a trace has the log-probability that a model gives it, after all that stands before it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from curate.errors import CallFailed, UserError
from curate.identity import model_name
from curate.schema import SPANS, Row
from curate.step import Engine, Score, TokenScores
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

    entropy: write `{of}_entropy_tokens` as well, the same spans with the entropy of the model's distribution
    at that place as value, in nats, from 0 to the logarithm of its vocabulary; hf: engines can.
    """

    engine: Engine
    of: str = "model"
    entropy: bool = False
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
        super().__post_init__()
        if not callable(getattr(self.engine, "score", None)):
            raise UserError(f"the engine {self.engine.model!r} cannot score a text; use an hf: engine")
        if self.entropy and not _takes(self.engine.score, "entropy"):  # type: ignore[attr-defined]
            raise UserError(f"the engine {self.engine.model!r} tells no entropy; use an hf: engine")
        if not self.of.isidentifier():
            raise UserError(f"of={self.of!r} begins the names of columns; use letters, digits and _")

    @property
    def writes(self) -> dict[str, Any]:
        return {
            f"{self.of}_tokens": SPANS,
            f"{self.of}_model": pl.String,
            f"{self.of}_fingerprint": pl.String,
            **({f"{self.of}_entropy_tokens": SPANS} if self.entropy else {}),
        }

    async def ask(self, row: Row) -> Mapping[str, Any]:
        messages = asked_of(row)
        opened = await self.engine.opened(messages) if hasattr(self.engine, "opened") else ""
        turn = turn_of(row, opened)
        if turn is None:
            raise CallFailed("the model's chat template begins its thinking, and this trace has none")
        if not turn.text:
            return dict.fromkeys(self.writes)
        more = {"entropy": True} if self.entropy else {}
        scores = await self.engine.score(messages, turn.text, **more)  # type: ignore[attr-defined]
        if any(math.isnan(value) for value in scores.logprob):
            raise CallFailed(f"{model_name(self.engine)} gives a log-probability that is no number (NaN)")
        values = [spans_of(turn, scores), model_name(self.engine), self.engine.fingerprint]
        if self.entropy:
            values.append(spans_of(turn, scores, "entropy"))
        return dict(zip(self.writes, values, strict=True))


def _takes(function: Callable[..., Any], name: str) -> bool:
    found = inspect.signature(function).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in found)


def spans_of(
    turn: Turn, scores: TokenScores, value: Literal["logprob", "entropy"] = "logprob"
) -> list[dict[str, Any]]:
    """The tokens that belong to a field, with offsets in that field."""
    spans = []
    for start, end, measured in zip(scores.start, scores.end, getattr(scores, value), strict=True):
        token = turn.text[start:end]
        first = start + len(token) - len(token.lstrip()) if token.strip() else start
        for field in turn.fields:
            if field.start <= first < field.end:
                begin, stop = max(start, field.start) - field.start, min(end, field.end) - field.start
                spans.append(dict(field=field.name, start=begin, end=stop, label=None, value=measured))
    return spans

"""Every token of a trace has the log-probability that a model gives it, after all that stands before it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from curate.errors import CallFailed, UserError
from curate.identity import model_name
from curate.schema import SPANS, Row
from curate.step import Engine, Score, TokenScores
from curate.turns import TOP, Field, Turn, asked_of, reasoning_of, scored, turn_for


@dataclass(frozen=True)
class TokenLogprobs(Score):
    """What other scores are made of: sentences, perplexity, divergence and provenance cost nothing more.

    Writes, under the name in `of` ("teacher", "student"): `{of}_tokens`, a span for each token of thinking
    and response with its natural log-probability (at temperature 1) as value; `{of}_model` and
    `{of}_fingerprint`, whose opinion it is. Tokens of the delimiters between the two are left out; a token
    that reaches over one belongs where its first character that is no space stands. Null in all three: the
    trace is empty, it has nothing but white space; the engine is not asked.

    A trace longer than the model's context is set aside, never cut, and so is one without thinking where
    the model's template begins the thinking, one with a log-probability that is no number, and a row that
    has no trace.

    The text is cut into tokens anew: where a model drew another cut of it, these are not the tokens it drew.

    entropy: write `{of}_entropy_tokens` as well, the same spans with the entropy of the model's distribution
    at that place as value, in nats, from 0 to the logarithm of its vocabulary; hf: engines can.

    rank: write `{of}_rank_tokens` as well, the same spans with the token's rank at its place as value, from 1
    (no token was likelier) to the size of the vocabulary.

    top_k: write `{of}_top` as well, parallel to `{of}_tokens`: the token's id, and the ids of the so many
    most probable tokens with their log-probabilities. It is large: 16 bytes times top_k a token, unpacked.
    """

    engine: Engine
    of: str = "model"
    entropy: bool = False
    rank: bool = False
    top_k: int = 0
    version = 2
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
        if self.rank and not _takes(self.engine.score, "rank"):  # type: ignore[attr-defined]
            raise UserError(f"the engine {self.engine.model!r} tells no ranks; use an hf: engine")
        if self.top_k and not _takes(self.engine.score, "top_k"):  # type: ignore[attr-defined]
            raise UserError(f"the engine {self.engine.model!r} tells no most probable tokens; use hf:")
        if self.top_k < 0:
            raise UserError(f"top_k={self.top_k} tokens cannot be told; give 1 or more, or 0 for none")
        if not self.of.isidentifier():
            raise UserError(f"of={self.of!r} begins the names of columns; use letters, digits and _")

    @property
    def writes(self) -> dict[str, Any]:
        return {
            f"{self.of}_tokens": SPANS,
            f"{self.of}_model": pl.String,
            f"{self.of}_fingerprint": pl.String,
            **({f"{self.of}_entropy_tokens": SPANS} if self.entropy else {}),
            **({f"{self.of}_rank_tokens": SPANS} if self.rank else {}),
            **({f"{self.of}_top": TOP} if self.top_k else {}),
        }

    async def ask(self, row: Row) -> Mapping[str, Any]:
        if row["thinking"] is None and row["response"] is None:
            raise CallFailed("this row has no trace; read a file of traces, or let Sample draw them first")
        if not reasoning_of(row).strip():
            return dict.fromkeys(self.writes)
        messages = asked_of(row)
        turn = await turn_for(self.engine, messages, row)
        more: dict[str, Any] = {"entropy": True} if self.entropy else {}
        more |= {"rank": True} if self.rank else {}
        more |= {"top_k": self.top_k} if self.top_k else {}
        scores = await scored(self.engine, messages, turn.text, **more)
        values: list[Any] = [spans_of(turn, scores), model_name(self.engine), self.engine.fingerprint]
        if self.entropy:
            values.append(spans_of(turn, scores, "entropy"))
        if self.rank:
            values.append(spans_of(turn, scores, "rank"))
        if self.top_k:
            values.append(_top(turn, scores))
        return dict(zip(self.writes, values, strict=True))


def _takes(function: Callable[..., Any], name: str) -> bool:
    found = inspect.signature(function).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in found)


def spans_of(
    turn: Turn, scores: TokenScores, value: Literal["logprob", "entropy", "rank"] = "logprob"
) -> list[dict[str, Any]]:
    """The tokens that belong to a field, with offsets in that field."""
    measured = getattr(scores, value)
    spans = []
    for i, field in _placed(turn, scores):
        begin, stop = max(scores.start[i], field.start), min(scores.end[i], field.end)
        place = dict(field=field.name, start=begin - field.start, end=stop - field.start)
        spans.append({**place, "label": None, "value": measured[i]})
    return spans


def _placed(turn: Turn, scores: TokenScores) -> Iterator[tuple[int, Field]]:
    """The number of each token that belongs to a field, with the field."""
    for i, (start, end) in enumerate(zip(scores.start, scores.end, strict=True)):
        token = turn.text[start:end]
        first = start + len(token) - len(token.lstrip()) if token.strip() else start
        for field in turn.fields:
            if field.start <= first < field.end:
                yield i, field


def _top(turn: Turn, scores: TokenScores) -> list[dict[str, Any]]:
    """The most probable tokens at the places of those that belong to a field."""
    assert scores.top is not None
    found = []
    for i, _ in _placed(turn, scores):
        ids, logprobs = zip(*scores.top[i], strict=True)
        found.append(dict(id=scores.ids[i], ids=list(ids), logprobs=list(logprobs)))
    return found

"""A trace as one assistant turn, the way a model would have written it, and where its fields stand in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from curate.errors import CallFailed, UserError
from curate.identity import model_name
from curate.schema import Row
from curate.step import Engine, Message, TokenScores, user

TOP = pl.List(pl.Struct({"id": pl.Int64, "ids": pl.List(pl.Int64), "logprobs": pl.List(pl.Float64)}))
"""Of each token of a trace: which it is, and the most probable ones at its place, the likeliest first."""

_OPEN, _CLOSE = "<think>\n", "\n</think>\n\n"


class Field(NamedTuple):
    """Where a column of the row stands in the text: [start, end)."""

    name: str
    start: int
    end: int


class Turn(NamedTuple):
    """`text` follows the rendered prompt; what belongs to no field is a delimiter."""

    text: str
    fields: tuple[Field, ...]


def turn_of(row: Row, opened: str) -> Turn | None:
    """The turn of a row; None where the template begins the thinking (`opened`) and the row has none."""
    thinking, response = row["thinking"], row["response"] or ""
    if thinking is None:
        return None if opened else Turn(response, (Field("response", 0, len(response)),))
    head = "" if opened else _OPEN
    begun = head + thinking + _CLOSE
    return Turn(
        begun + response,
        (
            Field("thinking", len(head), len(head) + len(thinking)),
            Field("response", len(begun), len(begun) + len(response)),
        ),
    )


def reasoning() -> pl.Expr:
    """The thinking; the response where there is none, or none but white space, as between empty tags."""
    return pl.when(pl.col("thinking").str.strip_chars() != "").then("thinking").otherwise("response")


def reasoning_of(row: Row) -> str:
    """What `reasoning` is in this row, as text; empty where it is null."""
    thinking = row["thinking"] or ""
    return thinking if thinking.strip() else row["response"] or ""


def asked_of(row: Row) -> list[Message]:
    """What was sent; the question alone where nobody knows."""
    return list(row["messages"] or user(row["question"] or ""))


async def turn_for(engine: Engine, messages: Sequence[Message], row: Row) -> Turn:
    """The turn of a row as this engine's chat template would have it begin."""
    ask = getattr(engine, "opened", None)
    turn = turn_of(row, await ask(messages) if ask else "")
    if turn is None:
        raise CallFailed(
            "the model's chat template begins its thinking, and this trace has none; give it one, be it "
            "empty, or take a template that begins none"
        )
    return turn


async def scored(
    engine: Engine, messages: Sequence[Message], text: str, *, prefix: str = "", **more: Any
) -> TokenScores:
    """What the engine says of a text; a log-probability that is no number fails the call."""
    options = {"prefix": prefix, **more} if prefix else more
    scores: TokenScores = await engine.score(messages, text, **options)  # type: ignore[attr-defined]
    if any(math.isnan(value) for value in scores.logprob):
        raise CallFailed(
            f"{model_name(engine)} gives a log-probability that is no number (NaN): its weights are damaged, "
            "or its precision is too low; try dtype=float32"
        )
    return scores


def paired(row: Row, models: Sequence[str]) -> Iterator[tuple[Mapping[str, Any], tuple[float | None, ...]]]:
    """Each sentence of a trace, with the probability that each model gives it, in `{model}_sentences`."""
    tables = [row[f"{of}_sentences"] for of in models]
    places = [[(s["field"], s["start"], s["end"]) for s in table] for table in tables]
    if any(place != places[0] for place in places):
        raise UserError(
            f"the sentences of {' and '.join(models)} are not the same; give sentence_logprob one min_words"
        )
    for same in zip(*tables, strict=True):
        yield same[0], tuple(s["value"] for s in same)

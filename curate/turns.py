"""A trace as one assistant turn, the way a model would have written it, and where its fields stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curate.errors import UserError
from curate.schema import Row
from curate.step import Message, user

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


def asked_of(row: Row) -> list[Message]:
    """What was sent; the question alone where nobody knows."""
    return list(row["messages"] or user(row["question"] or ""))


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

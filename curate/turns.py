"""A trace as one assistant turn, the way a model would have written it, and where its fields stand in it."""

from __future__ import annotations

from typing import NamedTuple

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

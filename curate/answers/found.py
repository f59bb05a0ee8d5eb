"""What an extraction hands back, and how much of a response it looks at."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 2000  # characters; whatever is longer is a text, not an answer
MARKED = 1 << 16  # characters from the end in which tags, fields and `####` are looked for
TAIL = 4000  # characters from the end in which phrases and values are looked for


class Answer(NamedTuple):
    """An answer as it was written, and where: boxed, tag, json, hashes, phrase, whole, line or last value.

    several: the response offers alternatives ("either 3 or 4") or two finals that nothing joins.
    """

    text: str
    where: str
    several: bool = False


class Found(NamedTuple):
    """A place in a response that may hold its answer; the text between marks, as it stands."""

    start: int
    end: int
    text: str
    where: str
    several: bool = False

"""Answers in words: equal when normalised, different within a closed vocabulary, else nobody can tell."""

from __future__ import annotations

import re

from curate.maths.tree import Node

_CLOSED = (
    "yes no true false",
    "true false",
    "monday tuesday wednesday thursday friday saturday sunday",
    "january february march april may june july august september october november december",
    "north south east west northeast northwest southeast southwest",
    "even odd neither both",
    "left right up down",
    "increasing decreasing constant",
    "convergent divergent converges diverges",
    "positive negative zero",
    "circle ellipse parabola hyperbola line point",
    "red orange yellow green blue purple white black brown pink",
    "prime composite",
    "acute obtuse right",
    "always never sometimes",
)
_VOCABULARIES = [frozenset(words.split()) for words in _CLOSED]
_SAME = {
    "y": "yes",
    "n": "no",
    "t": "true",
    "f": "false",
    "correct": "true",
    "incorrect": "false",
    "wrong": "false",
}
_SAME |= {"mon": "monday", "tue": "tuesday", "wed": "wednesday", "thu": "thursday", "fri": "friday"}
_SAME |= {"sat": "saturday", "sun": "sunday", "converges": "convergent", "diverges": "divergent"}
_NONE = frozenset(
    "no solution|no solutions|no real solution|no real solutions|none|empty set|does not exist|the empty set"
    "|no such|no solution exists|null set|dne|no such number exists|no answer|empty".split("|")
)
_REALS = frozenset(
    "all real numbers|all reals|any real number|the real numbers|real numbers|every real number|reals"
    "|all real x|all real".split("|")
)
_FILLER = re.compile(r"\b(?:the|a|an|is|are|it|its|of|option|answer)\b|[^\w\s+-]")
_TIME = re.compile(
    r"(\d{1,2})(?:\s?[:.]\s?(\d\d))?\s?([ap])\.?\s?m\.?|(\d{1,2}):(\d\d)(?::\d\d)?", re.IGNORECASE
)


def normal(text: str) -> str:
    """Words without case, articles and punctuation."""
    words = " ".join(_FILLER.sub(" ", text.casefold()).split())
    return _SAME.get(words, words)


def same_words(said: str, other: Node) -> bool | None:
    """Whether words mean the other answer; None where that takes understanding."""
    if said in _NONE:
        said_none = True
    else:
        said_none = False
    if other.head == "text":
        if normal(said) == normal(other.args[0]) or said_none and other.args[0] in _NONE:
            return True
        return False if closed(said) and closed(said) & closed(other.args[0]) else None
    if said_none:
        return other == Node("set")
    if said in _REALS:
        from curate.maths.pieces import ALL
        from curate.maths.regions import region

        return region(other) == [ALL]
    return False if closed(said) or other.head == "num" else None


def closed(text: str) -> frozenset[int]:
    """The vocabularies that hold a word."""
    word = normal(text)
    return frozenset(n for n, words in enumerate(_VOCABULARIES) if word in words)


def minutes(text: str) -> tuple[int, bool] | None:
    """A time of day in minutes since midnight, and whether am or pm is said."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    hour, minute, half, hour24, minute24 = found.groups()
    if half is None:
        return int(hour24) * 60 + int(minute24), False
    return (int(hour) % 12 + 12 * (half.lower() == "p")) * 60 + int(minute or 0), True

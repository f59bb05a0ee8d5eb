"""Answers in words: equal when normalised, different within a closed vocabulary, else nobody can tell."""

from __future__ import annotations

import re
from functools import lru_cache

from curate.maths.hanzi import chinese
from curate.maths.names import CONSTANTS, FUNCTIONS, GREEK, LINKS
from curate.maths.spelled import spelled
from curate.maths.tree import Node, num

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
_MORE = frozenset(
    "and or of hundred thousand million billion trillion dozen to plus minus times percent half".split()
)
_PHRASE = re.compile(r"[^\W\d_]+(?:[\s'’-]+[^\W\d_]+)*[.!?]*")
_WRAP = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|normal)?|mbox|mathrm|mathbf|operatorname)\s?\{([^{}]*)\}|[$*`]|\\[()\[\]]"
)
_FILLER = re.compile(r"\b(?:the|a|an|is|are|it|its|of|option|answer|solutions?)\b|[^\w\s+-]")
_TYPESET = re.compile(r"\\(?:text|mathrm|ce|rm)(?![a-z])|[{}_$\s]|\\[()\[\]]")
_FORMULA = re.compile(r"(?=.*[a-z0-9].*[A-Z]|.*[A-Z].*\d)(?:\(?[A-Z][a-z]?\d{0,3}(?:\)\d{0,3})?){2,30}")
_TIME = re.compile(
    r"(\d{1,2})(?:\s?[:.]\s?(\d\d))?(?::(\d\d))?\s?([ap])\.?\s?m\.?|(\d{1,2}):(\d\d)(?::(\d\d))?",
    re.IGNORECASE,
)


def normal(text: str) -> str:
    """Words without case, articles and punctuation."""
    words = " ".join(_FILLER.sub(" ", text.casefold()).split())
    return _SAME.get(words, words)


def bare(text: str) -> str:
    """A text without what only sets its type, and without a last full stop."""
    return " ".join(_WRAP.sub(lambda m: m.group(1) or " ", text).split()).strip(" .!")


@lru_cache(2048)
def phrase(text: str) -> Node | None:
    """The words that a text is, where it is nothing else: "no solution", "Yes", "five"."""
    said = bare(text)
    if len(said) > 300 or len(said) < 2 or not _PHRASE.fullmatch(said):
        return None
    words = said.casefold().split()
    number = spelled(said) if said.isascii() else chinese(said)
    if number is not None:
        return num(number)
    counted = spelled(" ".join(words[:-1]))
    if counted is not None and words[-1] not in _MORE:
        return Node("qty", (num(counted), words[-1]))
    if any(w in LINKS for w in words):
        return None
    if len(words) == 1 and not closed(said) and said.casefold() not in (*_NONE, *_REALS):
        return None
    known = {*FUNCTIONS, *CONSTANTS, *GREEK}
    if closed(said) or any(len(w) > 2 and w not in known for w in words):
        return Node("text", (" ".join(words),))
    return None


def same_words(said: str, other: Node) -> bool | None:
    """Whether words mean the other answer; None where that takes understanding."""
    said_none = said in _NONE
    if other.head == "text":
        if normal(said) == normal(other.args[0]) or said_none and other.args[0] in _NONE:
            return True
        theirs = other.args[0]
        apart = (
            closed(said) & closed(theirs)
            or (closed(said) and theirs in _NONE)
            or (closed(theirs) and said_none)
        )
        return False if apart else None
    if said_none:
        return other == Node("set")
    if said in _REALS:
        from curate.maths.pieces import ALL
        from curate.maths.regions import region

        return region(other) == [ALL]
    return False if closed(said) else None


def closed(text: str) -> frozenset[int]:
    """The vocabularies that hold a word."""
    word = normal(text) if len(text) > 1 else ""
    return frozenset(n for n, words in enumerate(_VOCABULARIES) if word in words)


def formula(text: str) -> str | None:
    """A chemical formula without its typesetting: H2O of \\text{H}_2\\text{O}; None for anything else."""
    plain = _TYPESET.sub("", text[:300]).strip(" .")
    return plain if _FORMULA.fullmatch(plain) else None


def seconds(text: str) -> tuple[int, bool] | None:
    """A time of day in seconds since midnight, and whether am or pm is said."""
    if ":" not in text and "m" not in text.casefold():
        return None
    found = _TIME.fullmatch(bare(text).replace("p.m", "pm").replace("a.m", "am"))
    if not found:
        return None
    hour, minute, second, half, hour24, minute24, second24 = found.groups()
    if half is None:
        return int(hour24) * 3600 + int(minute24) * 60 + int(second24 or 0), False
    hours = int(hour) % 12 + 12 * (half.lower() == "p")
    return hours * 3600 + int(minute or 0) * 60 + int(second or 0), True


def same_time(one: tuple[int, bool], other: tuple[int, bool]) -> bool:
    """Whether two times of day agree; one without am or pm may be either half of the day."""
    if one[1] and other[1] or one[0] == other[0]:
        return one[0] == other[0]
    said, clock = (one, other) if one[1] else (other, one)
    return clock[0] < 13 * 3600 and said[0] % 43_200 == clock[0] % 43_200

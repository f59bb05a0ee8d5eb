"""When two outputs or two values are the same: the policies, each in one place.

Outputs: lines are compared; white space at the ends of lines and empty lines at both ends do not count. A
line that is all numbers may be spaced otherwise, and two numbers are the same when their texts are, or when
one has a point or an exponent and they differ by no more than `tolerance` (absolute, and relative to the
gold). Case and leading white space of a line with words count.

Values: exact JSON types. True is not 1 and "1" is not 1. An integer and a float are compared as numbers;
where either is a float, within `tolerance`. NaN equals nothing. A tuple answers for a list (JSON has no
tuples); a set does not. Keys of an object are compared as text, as JSON keeps them.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_INTEGER = re.compile(r"[-+]?\d+")
LONGEST = 400  # characters; a longer token is compared as text


def same_output(gold: str, said: str, tolerance: float) -> bool:
    mine, theirs = _lines(gold), _lines(said)
    return len(mine) == len(theirs) and all(
        g == s or _same_numbers(g.split(), s.split(), tolerance) for g, s in zip(mine, theirs, strict=True)
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.replace("\r\n", "\n").strip("\n\r\t \f\v").split("\n")]


def _same_numbers(gold: list[str], said: list[str], tolerance: float) -> bool:
    return len(gold) == len(said) and all(
        _same_number(g, s, tolerance) for g, s in zip(gold, said, strict=True)
    )


def _same_number(gold: str, said: str, tolerance: float) -> bool:
    if len(gold) > LONGEST or len(said) > LONGEST:
        return gold == said and bool(_INTEGER.fullmatch(gold))
    if not (_NUMBER.fullmatch(gold) and _NUMBER.fullmatch(said)):
        return False
    if gold == said or _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(said):
        return gold == said
    return close(float(gold), float(said), tolerance)


def close(gold: float, said: float, tolerance: float) -> bool:
    """Within `tolerance` of the gold, absolutely or relative to it; an infinity equals only itself."""
    if gold == said:
        return True
    return abs(gold) != float("inf") and abs(gold - said) <= tolerance * max(1.0, abs(gold))


def same_value(gold: Any, said: Any, tolerance: float) -> bool:
    """Whether a JSON value and one as values.pack wrote it are the same. Hashes nothing but text."""
    if isinstance(gold, bool) or gold is None or isinstance(gold, str):
        return type(gold) is type(said) and gold == said
    if isinstance(gold, int | float):
        return _same_numeric(gold, said, tolerance)
    if isinstance(gold, list):
        items = said.get("t", said.get("q")) if isinstance(said, dict) else said
        return (
            isinstance(items, list)
            and len(items) == len(gold)
            and all(same_value(g, s, tolerance) for g, s in zip(gold, items, strict=True))
        )
    pairs = said.get("d") if isinstance(said, dict) else None
    if not isinstance(pairs, list) or len(pairs) != len(gold):
        return False
    by_key: dict[str, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) not in (str, int):
            return False
        by_key[str(pair[0])] = pair[1]
    return by_key.keys() == gold.keys() and all(same_value(gold[k], by_key[k], tolerance) for k in gold)


def _same_numeric(gold: int | float, said: Any, tolerance: float) -> bool:
    if isinstance(said, dict) and isinstance(said.get("i"), str):
        try:
            said = int(said["i"], 16)
        except ValueError:
            return False
    if isinstance(said, bool) or not isinstance(said, int | float):
        return False
    if isinstance(gold, int) and isinstance(said, int):
        return gold == said
    try:
        return close(float(gold), float(said), tolerance)
    except OverflowError:
        return False

r"""Plain numbers, read by one pattern into an exact fraction: 1/2, -0.5, \frac{1}{2}, 1,200."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})"
_NUMBER = re.compile(
    rf"\$?\s*([-+]?)\s*(?:({_DIGITS})(?:\s?/\s?(\d{{1,400}}))?"
    r"|\\[dt]?frac\s?(?:\{\s?(-?\d{1,400})\s?\}|(\d))\s?(?:\{\s?(\d{1,400})\s?\}|(\d)))\s*\.?\$?",
    re.ASCII,
)
_SOFT = re.compile(r"(?<![\d\s])\s+|(?<=\d)\s+(?![\d\s])|\\left(?![a-z])|\\right(?![a-z])|\\[!,;: ]")


@lru_cache(4096)
def rational(text: str) -> Fraction | None:
    """The exact value of a plain number; None for anything else, a unit included.

    >>> rational(r"-\\frac{3}{6}")
    Fraction(-1, 2)
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, digits, under, top, top1, below, below1 = found.groups()
    if digits is not None:
        if text.count("$") == 1:
            return None
        value, by = Fraction(digits.replace(",", "").rstrip(".")), int(under or 1)
        value = value if not by else value / by
    else:
        by = int(below or below1)
        value = Fraction(int(top or top1), by or 1)
    if not by:
        return None
    return -value if sign == "-" else value


def squeezed(text: str) -> str:
    r"""The text without spaces and the sizes of brackets, \dfrac as \frac: equal texts are equal answers."""
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _SOFT.sub("", text).strip("$").rstrip(".")

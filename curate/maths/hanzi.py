"""Numbers in Chinese characters become values: 三百二十, 负五分之一, 百分之二十, 三点一四."""

from __future__ import annotations

import re
from fractions import Fraction

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = re.compile(r"负?[零〇一二三四五六七八九两十百千万亿点分之又半]{1,40}")


def chinese(text: str) -> Fraction | None:
    """The number that the whole text writes, or None.

    >>> chinese("三百二十"), chinese("百分之二十"), chinese("三点一四"), chinese("三个")
    (Fraction(320, 1), Fraction(1, 5), Fraction(157, 50), None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    sign, text = (-1, text[1:]) if text[0] == "负" else (1, text)
    if text in ("半", "一半"):
        return Fraction(sign, 2)
    whole, _, part = text.rpartition("又")
    bottom, parted, top = part.partition("分之")
    values = [_decimal(v) for v in (whole or "零", top if parted else part, bottom if parted else "一")]
    if None in values or not values[2] or whole and not parted:
        return None
    return sign * (values[0] + values[1] / values[2])  # type: ignore[operator]


def _decimal(text: str) -> Fraction | None:
    before, point, after = text.partition("点")
    whole = _whole(before)
    if whole is None or point and not (after and set(after) <= set(_DIGITS)):
        return None
    return Fraction(whole) + sum((Fraction(_DIGITS[d], 10**n) for n, d in enumerate(after, 1)), Fraction(0))


def _whole(text: str) -> int | None:
    """A natural number: digits read out (二〇二四), or with tens, hundreds, thousands, 万 and 亿."""
    if not text:
        return None
    if set(text) <= set(_DIGITS):
        return int("".join(str(_DIGITS[c]) for c in text))
    total = group = digit = 0
    last = 10**4
    for c in text:
        if c in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[c]
        elif c in _TENS and _TENS[c] < last:
            last = _TENS[c]
            group, digit = group + (digit or 1) * last, 0
        elif c in "万亿" and total + group + digit:
            here = group + digit
            total = total + here * 10**4 if c == "万" else (total + here) * 10**8
            group, digit, last = 0, 0, 10**4
        else:
            return None
    return total + group + digit

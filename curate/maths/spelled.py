"""Numbers and days in English words become values: "minus twenty-five", "two thirds", "5 June"."""

from __future__ import annotations

import re
from fractions import Fraction

from curate.scale_words import WORDS

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {w: n for n, w in enumerate(_SMALL)} | {w: 10 * n for n, w in enumerate(_TENS, 2)}
_SCALES = {word: value for word, value in WORDS.items() if value > 100}
_PARTS = "half third fourth fifth sixth seventh eighth ninth tenth".split()
_PARTED = {w: n for n, w in enumerate(_PARTS, 2)} | {"quarter": 4, "halve": 2, "hundredth": 100}
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = rf"({'|'.join(f'{m}|{m[:3]}' for m in _MONTHS)})\.?"
_DAY = r"(?:the\s)?(\d{1,2})(?:st|nd|rd|th)?"
_DATE = re.compile(rf"(?:{_MONTH}\s{_DAY}|{_DAY}\s(?:of\s)?{_MONTH})(?:,?\s(\d{{4}}))?", re.IGNORECASE)
_ISO = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)")
_CJK = re.compile(r"(?:(\d{4})\s?[年년]\s?)?(\d\d?)\s?[月월]\s?(\d\d?)\s?[日号號일]")
_LABEL = re.compile(r"\d{3,30}(?:-|\s?[–—]\s?|--)\d{3,30}|\d{1,30}(?:-\d{1,30}){2,9}")


def spelled(text: str) -> Fraction | None:
    """The number that the whole text spells, or None.

    >>> spelled("minus twenty-five"), spelled("two and three quarters"), spelled("two apples")
    (Fraction(-25, 1), Fraction(11, 4), None)
    """
    words = text.casefold().replace("-", " ").replace(",", " ").split()
    sign = -1 if words[:1] in (["minus"], ["negative"]) else 1
    words = words[sign < 0 :]
    if not words or len(words) > 20:
        return None
    if words in (["half"], ["dozen"]):
        return Fraction(sign, 2) if words == ["half"] else Fraction(sign * 12)
    part = _parted(words[-2:]) if len(words) > 1 else None
    if part is None:
        whole = _whole(words)
        return None if whole is None else Fraction(sign * whole)
    before = words[:-2]
    whole = 0 if not before else _whole(before[:-1]) if before[-1] == "and" else None
    return None if whole is None else sign * (whole + part)


def _parted(words: list[str]) -> Fraction | None:
    """Two words such as "one half" and "three quarters"."""
    many, name = words
    top = 1 if many in ("a", "an") else _VALUES.get(many)
    bottom = _PARTED.get(name) or _PARTED.get(name.removesuffix("s"))
    return None if not top or bottom is None else Fraction(top, bottom)


def _whole(words: list[str]) -> int | None:
    """The natural number that words spell: each may only be smaller than what stands before it."""
    total = group = 0
    last, scale = 10**3, 10**15
    if not words:
        return None
    for n, word in enumerate(words):
        if word == "and" and 0 < n < len(words) - 1:
            continue
        value = _VALUES.get(word, 1 if word == "a" and not n and len(words) > 1 else None)
        if value is not None:
            if last <= 19 or last < 100 and not 0 < value < 10 or value == 0 and len(words) > 1:
                return None
            group, last = group + value, max(value, 1)
        elif word == "dozen" and n == len(words) - 1 and 0 < group < 100:
            group *= 12
        elif word == "hundred" and 0 < group < 10:
            group, last = group * 100, 100
        elif word in _SCALES and group and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, group, last = total + group * scale, 0, 10**3
        else:
            return None
    return total + group


def is_label(text: str) -> bool:
    """Whether digits and dashes only name something: a range of years, a telephone number, a code."""
    return bool(_LABEL.fullmatch(text))


def undashed(label: str) -> str:
    """A label with every dash alike: 1914–1918 and 1914-1918 are one."""
    return re.sub(r"\s?[–—]\s?|--", "-", label)


def day(text: str) -> tuple[int, int, str] | None:
    """Month, day and year ("" where none is said) of a date: 5 June, 2024-03-01, 3月1日."""
    iso = _ISO.fullmatch(text) or _CJK.fullmatch(text)
    if iso and 1 <= int(iso[2]) <= 12 and 1 <= int(iso[3]) <= 31:
        return int(iso[2]), int(iso[3]), iso[1] or ""
    found = _DATE.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    month, first, second, after, year = found.groups()
    number = 1 + next(n for n, m in enumerate(_MONTHS) if m.startswith((month or after).casefold()[:3]))
    return number, int(first or second), year or ""

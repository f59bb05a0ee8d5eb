r"""Words behind a number that make it larger: 3 million, 5 hundred thousand, 3万; and what they are worth.

A word that says of which kind each thing is belongs to the thing: 5 hundred-dollar bills are five.
"""

from __future__ import annotations

import re
from math import prod

from curate.unit_names import WRITTEN

WORDS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SIGNS = {sign: 10 ** WRITTEN[sign] for sign in "万萬亿億"}
_OF_EACH = r"[-‑][a-z]|\s(?:dollar|euro|pound|cent|peso|ruble|rupee)\s[a-z]{3,}s\b"
SCALE = (
    rf"(?:(?:\s?(?:{'|'.join(WORDS)})s?(?![a-z])(?!{_OF_EACH})){{1,2}}"
    rf"|\s?(?:{'|'.join(SIGNS)}))"
)
"""The pattern of one or two of the words, or of a sign, with the space before it."""
_SCALE = re.compile(SCALE, re.IGNORECASE)
_EACH = re.compile("|".join(WORDS | SIGNS))


def scaled(text: str) -> tuple[int, str]:
    """What the words at the start of a text are worth, and the text behind them.

    >>> scaled("hundred thousand km"), scaled("hundred-dollar bills")
    ((100000, ' km'), (1, 'hundred-dollar bills'))
    """
    found = _SCALE.match(text)
    words = _EACH.findall(found.group().lower()) if found else ()
    return prod((WORDS | SIGNS)[word] for word in words), text[found.end() :] if found else text

"""Which option letters a text names."""

from __future__ import annotations

import re

from curate.answers.tidy import plain

_SAYS = r"(?:(?i:option|choice|answer|the|correct|is|:)\s?){0,5}"
_LETTER = re.compile(_SAYS + r"(?:\(([A-Ja-j])\)|([A-J])(?=\s?[).:,]|\Z))(?:[\s).:,].{0,400})?", re.DOTALL)
_MORE = re.compile(r"(?:,|\band|\bor|&)\s{0,3}\(?([A-J])(?:\)|(?=[\s,.]|\Z))")


def letters(text: str) -> set[str]:
    """The option letters A to J that a short answer names: "(E)", "C. 12", "option B", "A and C"."""
    text = plain(text)
    if len(text) == 1 and text in "abcdefghij":
        return {text.upper()}
    named = _LETTER.fullmatch(text)
    more = _MORE.findall(text) if named and len(text) <= 40 else ()
    return {(named.group(1) or named.group(2)).upper(), *more} if named else set()

"""Math-Verify's opinion on what our own reader cannot read; its grammar of LaTeX only, never its evaluator.

It may take seconds: a verifier asks it only within a worker process that is killed when its time is up.
"""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

_LIST_WORD = re.compile(r",?\s*(?:\\(?:text|mbox|textrm|mathrm)\s?\{[\s,]*(?:and|or)\s*\}|\b(?:and|or)\b)\s*")
_TOWER = re.compile(r"frac\s?(?:\d|\{[^{}]*\})\s?\d\d|\^[^+\-*/,]{0,12}\^|\d{5,}\}?\s*!|\^\s*\{?\s*\d{5,}")
_DOTS = re.compile(r"\\[cl]?dots|\.\.\.")
_WORDS = re.compile(r"[^\W\d_]{2}|[:°]|\d\s?_\s?\{?\d")
_MATHS = re.compile(r"[\d\\^=<>]")


def math_verify_says(gold: str, said: str) -> bool | None:
    """True or false; None where it cannot read the gold, or where the numbers would be huge."""
    if any(
        _TOWER.search(t) or _DOTS.search(t) or len(t) > 300 or t.count("{") > 60 or t.count("(") > 40
        for t in (gold, said)
    ):
        return None
    if any(_WORDS.search(re.sub(r"\\[a-zA-Z]+", " ", t)) or "\\text" in t for t in (gold, said)):
        return None  # it drops words that it does not know
    if not _MATHS.search(gold) or not _MATHS.search(said):
        return None
    from math_verify import LatexExtractionConfig, verify

    for name in ("math_verify.parser", "math_verify.grader"):  # they warn that nobody bounds the time: we do
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = (LatexExtractionConfig(),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key, answer = _parsed(gold, config), _parsed(said, config)
        if not _is_read(key):
            return None
        return bool(_is_read(answer) and verify(key, answer, timeout_seconds=None))


def _is_read(found: list[Any]) -> bool:
    return any(not isinstance(f, str) for f in found)


def _parsed(text: str, config: Any) -> list[Any]:
    from math_verify import parse

    from curate.maths.signs import ascii_maths

    bare = _LIST_WORD.sub(", ", ascii_maths(text).replace("\\$", "")).replace("$", "")
    bare = re.sub(r"(?<!\\)\\[()\[\]]|\*\*|\\!", "", bare).strip().rstrip(".")
    return list(parse(f"\\boxed{{{bare}}}", config, fallback_mode="no_fallback", parsing_timeout=None))

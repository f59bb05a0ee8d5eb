r"""What stands right behind a box and belongs to its number: the unit, the percent, the million."""

from __future__ import annotations

import re

from curate.answers.amounts import MEASURED, UNITS
from curate.answers.tidy import plain
from curate.scale_words import SCALE

_BARE = re.compile(
    r"(?=.{0,99}\d)[-−+]?(?:[\d./{}^ ]|,\d{3}|\\(?:[dt]?frac|sqrt|pi|cdot|times)(?![a-zA-Z]))+"
)
_BETWEEN = re.compile(r"\A(?:[ \t~$]|\\[,;:!) ]|\*\*){0,9}")
_UNIT_GOES_ON = re.compile(
    rf"\s?(?:[\^·⋅∙•*×/⁻]|\\(?:cdot|times|ast|bullet|[dt]?frac|boxed)|,? ?(?:and )?\d"
    rf"|(?:squared|cubed)\b|[.(]?(?:{UNITS})(?![\w'’-])|\s*=(?!=))"
)
_TYPESET = re.compile(r"\\(?:text|mathrm|mbox|textrm|rm)(?![a-zA-Z])")


def with_unit_behind(box: str, after: str) -> str:
    r"""A box of a bare number with the unit that stands right behind it in the line: `\boxed{7}\text{ m}`.

    A letter alone is a unit only where it is set as text: `\boxed{7} m` may go on in words or in symbols.
    Of a unit of several (N·m, cm^{-1}, 5 feet 6 inches) no part is taken.
    """
    if not _BARE.fullmatch(box):
        return box
    behind = _BETWEEN.sub("", after.partition("\n")[0], count=1)
    text = _right_behind(behind)
    unit = MEASURED.match(" " + text)
    said = unit.group().strip() if unit else ""
    if not said[:1].isalpha() or said.startswith("per") or len(said) == 1 and not _TYPESET.match(behind):
        return box
    rest = text[len(said) :]
    return box if _UNIT_GOES_ON.match(rest) else rf"{box} \text{{ {said}}}"


_CURRENCY = re.compile(r"\A\\?[$€£¥₹]")
_OF_A_NUMBER = re.compile(rf"{SCALE}|\s?(?:\\?%|percent\b|per cent\b)", re.IGNORECASE)


def with_scale_behind(box: str, after: str) -> str | None:
    r"""A box of a number or a price with the percent or the million right behind it: `\boxed{3}\%`."""
    text = _right_behind(_BETWEEN.sub("", after.partition("\n")[0], count=1))
    found = _OF_A_NUMBER.match(text) if _BARE.fullmatch(_CURRENCY.sub("", box)) else None
    return f"{box} {found.group().strip()}" if found else None


def _right_behind(text: str) -> str:
    return " ".join(plain(text.replace("~", " ")).split())

"""A number with what it counts, of texts that a pattern tells apart: 5 km, 12个, (1,000), 3rd."""

from __future__ import annotations

import re

from curate.maths.names import is_unit
from curate.scale_words import scaled

_MEASURE = re.compile(
    r"([-+]?\d[\d.,]*(?:\s?/\s?\d+)?)(\s*)((?:[A-Za-zµμΩ°](?:\^\{?-?\d\}?|\d(?!\d)|[²³])?[/*· .]?){1,40})"
)
_THOUSANDS = re.compile(r"\((\d{1,3}(?:,\d{3})*,0\d\d(?:,\d{3})*)\)")
_CONTINENTAL = re.compile(r"(?<![\d.,(\[{])\d{1,3}(?:(?:\.\d{3}){1,9},\d{1,2}|(?:\.\d{3}){2,9})(?![\d.,])")
_ORDINAL = re.compile(r"(\d{1,9})\s?(?:st|nd|rd|th|\^\s?\{?\s?\\?(?:text|mathrm)?\{?(?:st|nd|rd|th)\}{0,2})")
_COUNTED = re.compile(r"(\$?[-+]?\d[\d.,]*\$?)\s*([\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,8})")
_COUNTERS = re.compile(
    "[个個只隻本元圆円人名岁歳才枚匹台件种種条條张張次回倍天間门門位组組支部棵개명원번권마살가세]"
)


def numeral(text: str) -> str:
    """3rd as 3, and (1,000) as 1,000, since no second coordinate begins with a nought; 1.234,5 as 1234.5."""
    if "." in text:
        text = _CONTINENTAL.sub(lambda m: m.group().replace(".", "").replace(",", "."), text)
    found = _ORDINAL.fullmatch(text) or _THOUSANDS.fullmatch(text)
    return found[1] if found else text


def counted(text: str) -> tuple[str, str] | None:
    """The number and the unit, or the word for what is counted, that are the whole text."""
    found = _MEASURE.fullmatch(text)
    if found and is_unit(found[3]) and (found[2] or len(found[3]) > 1):
        return found[1], found[3]
    found = _COUNTED.fullmatch(text)
    if found and (_COUNTERS.match(scaled(found[2])[1]) or is_unit(found[2])):  # 3人, 3万人
        return found[1], found[2]
    return None

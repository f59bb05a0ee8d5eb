"""Notations that only a pattern can tell apart are rewritten into LaTeX before a text is read."""

from __future__ import annotations

import re

_POWER = re.compile(r"(?<=[\w)\]])\*\*(?=[\w(\-])")
_FRENCH = re.compile(r"(?<![\w)}\]])([\[\]])([^\[\]()]{1,100}[,;][^\[\]()]{1,100})([\[\]])")
_SCIENTIFIC = re.compile(
    r"(?<![\w.])(\d+\.\d+|\d+(?=E)|\d+(?=e\+?\d)|\d(?=e-\d\d)|1(?=e))[eE]\+?(-?\d{1,3})(?![\w.])"
)
_TIMES_TEN = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s?\^)")
_CHOOSE = re.compile(
    r"(?:\{\s?\})?[_^]\s?\{?(\w{1,6})\}?\s?(?:\\(?:mathrm|text|rm)\s?\{?\s?C\s?\}?|C)\s?_\s?\{?(\w{1,6})\}?"
)
_CHOOSE_FROM = re.compile(r"(?<![\w\\])C\s?_\s?\{?(\d{1,4})\}?\s?\^\s?\{?(\d{1,4})\}?")
_DERIVATIVE = re.compile(r"\A\s*(?:\\[dt]?frac\s?\{d([a-z])\}\s?\{d[a-z]\}|d([a-z])\s?/\s?d[a-z])\s*=")
_BUILDER = re.compile(r"\{\s*[a-zA-Z]\s*(?:\||:|\\mid)[^{}]*\}")
_MODULO = re.compile(
    r"\(\s*(?:\\(?:bmod|mod|text\s?\{\s?mod\s?\}|mathrm\s?\{\s?mod\s?\})|mod)\s*([^()]{1,40})\)"
)
_ARC = re.compile(
    r"(\d{1,4})\s?(?:\^\s?\{?\s?\\circ\s?\}?|°)\s?(\d{1,2}(?:\.\d{1,9})?)\s?(?:'|′|\^\s?\{?\\prime\}?)"
    r"(?:\s?(\d{1,2}(?:\.\d{1,9})?)\s?(?:''|″|\"))?"
)
_DOMAIN = re.compile(
    r"(?<=[\w)}\]])(?:\s|[,;(~$]|\\[,;: ]|\\q?quad|\\left|\\text\s?\{\s?(?:where|for|with)?\s?\}"
    r"|where|for|with){1,8}"
    r"[a-zA-Z](?:\s?,\s?[a-zA-Z])?\s?(?:\\in|∈)\s?(?:\\(?:mathbb|mathbf|Bbb)\s?\{?\s?)?[ZNℤℕ]\}?"
    r"(?:[\^_]\s?\{?[+*\d]\}?)?[\s)$.]*(?:\\right\))?\Z"
)
_COLOR = re.compile(r"\\(?:text|f?)color(?:box)?\s?\{[^{}]{1,40}\}")
_OUT_OF = re.compile(
    r"(\d{1,9})\s?(?:\\text\s?\{\s?)?(?:in|out of)(?:\s?\})?\s?(?:every )?(?!(?:inch|in\b))(\d{1,9})"
)
_RATIO = re.compile(r"(\d{1,9})\s?(?:to|\\text\s?\{\s?to\s?\})\s?(\d{1,9})")


def rewritten(text: str) -> str:
    """The text in one dialect: 2**3, 1.2e5, 3 x 10^4, ]0, 1[, _5C_2, (mod 7), 30° 15', 2 to 3, 1 in 6."""
    if "**" in text and not text.startswith("**"):
        text = _POWER.sub("^", text)
    if "[" in text:
        text = _FRENCH.sub(_english, text)
    if "d" in text and "=" in text:
        text = _DERIVATIVE.sub(lambda m: f"{m.group(1) or m.group(2)}'=", text)
    if text.startswith("{") and _BUILDER.fullmatch(text):
        text = f"\\{text[:-1]}\\}}"
    if "C" in text:
        text = _CHOOSE_FROM.sub(r"\\binom{\1}{\2}", text)
        text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    if "mod" in text:
        text = _MODULO.sub(r"\\pmod{\1}", text)
    if "'" in text or "′" in text or "prime" in text:
        text = _ARC.sub(_degrees, text)
    if "\\in" in text or "∈" in text:
        text = _DOMAIN.sub("", text)
    if "brace" in text:
        text = re.sub(r"\\([lr])brace(?![a-z])", lambda m: "\\{" if m.group(1) == "l" else "\\}", text)
    if ratio := _RATIO.fullmatch(text):
        text = f"{ratio.group(1)}:{ratio.group(2)}"
    if chance := _OUT_OF.fullmatch(re.sub(r"\A\\text\s?\{([^{}]*)\}\Z", r"\1", text.strip("$ "))):
        text = f"\\frac{{{chance.group(1)}}}{{{chance.group(2)}}}"
    if "color" in text:
        text = _COLOR.sub("", text)
    text = _TIMES_TEN.sub("*", text)
    if "\\" not in text:
        text = _SCIENTIFIC.sub(r"\1*10^{\2}", text)
    if text.count("$") - text.count("\\$") == 1:
        text = text.replace("$", "\\$")
    return text


def _english(found: re.Match[str]) -> str:
    """]0, 1[ as (0, 1)."""
    opened, inner, closed = found.groups()
    return ("(" if opened == "]" else "[") + inner + (")" if closed == "[" else "]")


def _degrees(found: re.Match[str]) -> str:
    """30° 15' 20'' as a sum of degrees."""
    whole, minutes, seconds = found.groups()
    return rf"({whole}+\frac{{{minutes}}}{{60}}+\frac{{{seconds or 0}}}{{3600}})^\circ "

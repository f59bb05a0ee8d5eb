r"""What only sets the type of a unit is gone: LaTeX and phrases become one plain spelling."""

from __future__ import annotations

import re
import unicodedata

_STYLE = re.compile(
    r"\\(?:text(?:rm|bf|it|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt)|mbox|hbox|operatorname\*?|unit|si|ensuremath"
    r"|boldsymbol|bm|phantom)\s*\{([^{}]*)\}"
)
_POWER = re.compile(r"\^\s*\{\s*([-+]?[\d./]+)\s*\}")
_SPACES = re.compile(
    r"\\[,;:!> ]|~|\\(?:q?quad|left|right|rm|bf|it|displaystyle|thinspace)(?![a-zA-Z])|\\[()\[\]]"
)
_SIGNS = [
    (re.compile(r"\\[dt]?frac(?![a-z])"), r" \\frac "),
    (
        re.compile(r"\^\s*\{?\s*(?:\\circ|\\degree|°|∘)\s*\}?|\{?\}?\s*\\(?:circ|degree|degrees)(?![a-z])"),
        "°",
    ),
    (re.compile(r"\\(?:cdot|times|ast|bullet|centerdot)(?![a-z])|[×⋅·∙•∗]"), "*"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\(?:u?mu|micro)(?![a-z])\s*|μ\s+"), "μ"),
    (re.compile(r"(?:(?<![^\W\d_])([kMGmμ])\s*)?\\(?:Omega|ohm)(?![a-z])"), r" \1Ω "),
    (re.compile(r"(?<![^\W\d_])([kMGmμ])\s+Ω"), r"\1Ω"),
    (re.compile(r"\\(?:AA|angstrom)(?![a-z])|A\u030a"), "Å"),
    (re.compile(r"\\(?:euro|texteuro)(?![a-z])"), "€"),
    (re.compile(r"\\(?:pounds|textsterling)(?![a-z])"), "£"),
    (re.compile(r"\\ell(?![a-z])"), "L"),
    (re.compile(r"\\([%$#&_])"), r"\1"),
    (re.compile(r"\\per(?:thousand|mil)(?![a-z])"), "‰"),
    (re.compile(r"\\(kilo|mega|giga|deci|centi|milli|micro|nano)\s*\\(?=[a-z])"), r"\\\1"),
    (re.compile(r"\\(?!frac)([a-z]{4,}|per)(?![a-z])"), r" \1 "),  # siunitx: \metre\per\second, but not \pm
]
_PHRASES = [
    (r"°\s*(C|F|K|R)(?![^\W\d_])|deg(?:rees?)?\.?\s*([CF])(?![^\W\d_])", r" deg\1\2 "),
    (r"(?i)(?:°|deg(?:rees?)?)?\s*(?:celsius|centigrade)|摄氏度", " degC "),
    (r"(?i)(?:°|deg(?:rees?)?)?\s*fahrenheit|华氏度", " degF "),
    (r"(?i)(?:degrees?)\s*kelvin", " degK "),
    (r"(?i)\bm\.?p\.?h\b\.?", " mph "),
    (r"(?i)\b(?:pounds?|lbs?|lbf)\s*(?:-force\s*)?(?:per|/)\s*(?:square|sq\.?)\s*in(?:ch|\.)?", " psi "),
    (r"(?i)\b(?:foot|feet|ft)\s*[-.*]?\s*(?:pounds?|lbs?|lbf)\b", " ftlbf "),
    (r"(?i)\b(?:pounds?|lbs?|lbf)\s*[-.*]?\s*(?:foot|feet|ft)\b", " ftlbf "),
    (r"(?i)\b(light|nautical|astronomical|metric|short|long|troy|fluid)[\s-]+(\w+)", r" \1\2 "),
    (r"(?i)\bfl\.?\s*oz\b", " floz "),
    (r"(?i)\b(pound|kilogram)s?[\s-]+(force|sterling)\b", r" \1\2 "),
    (r"(?i)\belectron[\s-]+volt", " electronvolt"),
    (r"(?i)\b(min|sec|hr|ft|in|yd|lbs?|oz|gal|mi|sq|cu|km|cm|mm|kg)\.", r"\1 "),
    (r"(?i)\b(minute|second)s?\s+of\s+arc\b", r" arc\1 "),
    (r"(?i)\bper\s+cent\b|\bpercent(?:age)?(?:\s+points?)?\b|\bpct\b", " % "),
    (r"(?i)\bU\.?S\.?\s*(?:\$|dollars?)", " dollars "),
    (r"(?i)\bU\.?S\.?\s+(?=gallon|pint|quart|cup|fluid|ton)", " "),
    (r"(?i)\b(kilowatt|watt|megawatt|amp|ampere|milliamp)[\s-]+(hours?)", r"\1\2"),
    (r"平方(?=\w)", "square "), (r"立方(?=\w)", "cubic "), (r"每", " per "),
]  # fmt: skip
_REPLACED = [(re.compile(pattern), new) for pattern, new in _PHRASES]


def plain(text: str) -> str:
    """The text without what only sets the type, its signs those of plain text."""
    text = text.strip().replace("º", "°").replace("µ", "μ").replace("−", "-").replace("˚", "°")
    if (text.count("$") - text.count("\\$")) % 2 == 0:
        text = re.sub(r"(?<!\\)\$", "", text)
    text = unicodedata.normalize("NFKC", re.sub(r"([²³⁰¹⁴-⁹⁻]+)", r"^{\1}", text)).replace("−", "-")
    text = _POWER.sub(r"^(\1)", text)
    for _ in range(4):
        text, changed = _STYLE.subn(r" \1 ", text)
        if not changed:
            break
    text = _SPACES.sub(" ", text)
    for pattern, new in _SIGNS:
        text = pattern.sub(new, text)
    for pattern, new in _REPLACED:
        text = pattern.sub(new, text)
    return " ".join(text.split()).rstrip(".,;:")

r"""A number with its unit, out of the ways people write one: 1.2 × 10^{-3} m/s, $5, 50\%, 2 h 30 min."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from curate.maths.spelled import day, is_label
from curate.maths.unit_text import plain
from curate.maths.units import Unit, unit
from curate.scale_words import SIGNS, scaled

LONGEST = 300  # characters


class Amount(NamedTuple):
    """A value as it is written, and its unit; None for no unit, and for a noun that is counted.

    whole: it is written as a whole number (5 and 5.0), without a power of ten. scale: how much of the
    unit's factor is a word for a number, the million of "3 million dollars". counted: things are, and
    named in the plural (5 apples).
    """

    value: Fraction
    unit: Unit | None
    whole: bool
    scale: Fraction = Fraction(1)
    counted: bool = False


_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}| |\\,|\\!)\d{3})+(?!\d)(?:\.\d+)?|\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})"
_TEN = r"10\s*\^\s*[({]?\s*([-+]?\s?\d{1,3})\s*[)}]?(?!\d)"
_NUMBER = re.compile(
    rf"({_DIGITS})(?:[eE]([-+]?\d{{1,3}})(?![\w.])|\s*(?:\\times|\\cdot|[×·⋅*xX])\s*{_TEN})?"
    rf"(?:\s*(?:±|\\pm)\s*{_DIGITS})?(?:\s?/\s?(\d{{1,300}})(?![\d.]))?"
)
_POWER = re.compile(_TEN)
_FRACTION = re.compile(r"(\d{0,9})\s*\\[dt]?frac\s*\{\s*(-?\d{1,300})\s*\}\s*\{\s*(\d{1,300})\s*\}")
_MIXED = re.compile(r"(\d{1,9}) (\d{1,9})/(\d{1,9})(?![\d.])")
_MONEY = re.compile(
    r"(?:US|[ACR]|HK)?\\?\$|[€£¥₹₽₩₫]|Rs\.?(?=\s?\d)|(?:USD|EUR|GBP|CNY|RMB|INR|JPY)(?=\s?\d)"
)
_BEFORE = re.compile(r"(?i)\s*(?:about|approximately|approx\.?|around|roughly|nearly|exactly|only|ca\.)\s+")
_EQUALS = re.compile("=")
_ABOUT = re.compile(r"[≈≃≅]|\\(?:approx|simeq|cong|sim)(?![a-z])|(?:^|\s)~(?=\s*[-\d.])")
_SUPER = re.compile(r"[⁻⁺]?[⁰¹²³⁴-⁹]+")
_NARROW = str.maketrans("−–﹣－⁄∕\u00a0\u2009\u202f，", "----//   ,")
_TYPE = re.compile(r"\\[!;:> ]|~(?=\S)|\\(?:left|right|displaystyle)(?![a-z])|\\[()\[\]]|\*\*(?=[\s\w]|$)")


@lru_cache(2048)
def amount(text: str) -> Amount | None:
    """The amount that the whole text is; None where it is something else, or several.

    What stands before the last equals sign is passed over, and so is an uncertainty (5 ± 0.1); of an exact
    value and a rounded one (√2 ≈ 1.41), it is the exact one.
    """
    if len(text) > LONGEST or is_label(text.strip()) or day(text.strip()):
        return None
    for part in _ABOUT.split(text):
        if found := _written(_plain(part)) or _calculated(part):
            return found
    return None


def _plain(text: str) -> str:
    text = _SUPER.sub(lambda m: "^{" + _low(m.group()) + "}", text).translate(_NARROW)
    if (text.count("$") - text.count("\\$")) % 2 == 0:
        text = re.sub(r"(?<!\\)\$", "", text)
    text = _EQUALS.split(_TYPE.sub(" ", text.strip().strip("`").replace("**", "", 1)))[-1]
    return " ".join(_BEFORE.sub("", text).split()).rstrip(".,;:!* ")


def _low(digits: str) -> str:
    return digits.translate(str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "-+0123456789"))


def _written(text: str) -> Amount | None:
    """The sum of a text's amounts ("5 ft 3 in"), where it is nothing else."""
    first = _one(text)
    if first is None:
        return None
    found, rest = first
    while rest:
        after = _one(re.sub(r"^(?:,|and\s|,\s?and\s)\s*", "", rest))
        if after is None or not (one := found.unit) or not (other := after[0].unit) or one.offset:
            return None
        if not other.dimension or other.dimension != one.dimension or other.factor >= one.factor:
            return None
        more = after[0].value * Fraction(other.factor) / Fraction(one.factor)
        found, rest = found._replace(value=found.value + more), after[1]
    return found


def _one(text: str) -> tuple[Amount, str] | None:
    """The amount at the start of a text, and the text behind it (which begins with a digit)."""
    text = text.strip()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-").lstrip() if text[:1] in "+-" else text
    money = _MONEY.match(text)
    if money:
        text = text[money.end() :].lstrip()
        if text.startswith("-"):
            sign, text = -sign, text[1:].lstrip()
    number = _number(text)
    if number is None:
        return None
    value, whole, end = number
    said, rest = text[end:].strip(), ""
    if second := re.search(r"(?<=[a-z\s,])\d", said):
        if re.search(r"[a-z]\s*,?\s*(?:and\s*)?\Z", said[: second.start()]) and "^" not in said:
            said, rest = said[: second.start()], said[second.start() :]
    found = _unit(said.rstrip(", "), money.group() if money else "")
    if isinstance(found, bool):
        return None
    scale = Fraction(scaled(plain(said))[0] if found and found.dimension else 1)
    return Amount(sign * value, found, whole, scale, found is None and _is_plural(said)), rest


def _number(text: str) -> tuple[Fraction, bool, int] | None:
    """A numeral at the start: its value, whether it is written as a whole number, where it ends."""
    if found := _FRACTION.match(text):
        if not int(found[3]):
            return None
        return int(found[1] or 0) + Fraction(int(found[2]), int(found[3])), False, found.end()
    if found := _MIXED.match(text):
        return (
            (int(found[1]) + Fraction(int(found[2]), int(found[3])), False, found.end())
            if int(found[3])
            else None
        )
    if found := _POWER.match(text):
        return Fraction(10) ** int(found[1].replace(" ", "")), False, found.end()
    if (found := _NUMBER.match(text)) is None:
        return None
    digits, exponent, ten, under = found.groups()
    digits = re.sub(r"[^\d.]", "", digits)
    if under is not None and not int(under):
        return None
    value = Fraction(digits.rstrip(".")) * Fraction(10) ** int((exponent or ten or "0").replace(" ", ""))
    return (
        value / int(under or 1),
        "." not in digits.rstrip(".0") and not (exponent or ten or under),
        found.end(),
    )


_PI = re.compile(r"pi(?![a-z])")
_WORDY = re.compile(r"[^\d=<>+*|√∞π]*")


_UNITLIKE = (  # plurals that name a unit which the table lacks, or any unit
    "units kilos kcals kilogramos gramos gramas litros metros horas heures minutos segundos secondes dias"
    " jours wks mos rads turns rotations cycles percents percentages points stones leagues cubits yuans"
    " wons yens dongs shillings shekels zlotys liras dirhams riyals ringgits bushels pecks gills drams"
    " diopters dioptres henrys torrs luxes hertzes siemenses kilohms roentgens rems poises stokes"
    " plus thus this"
)
_PLURAL = re.compile(
    rf"(?i)(?:[a-z-]+ ){{0,2}}(?!(?:{_UNITLIKE.replace(' ', '|')})$)"
    r"(?:[a-z-]{2,}[^\W\ds]s|people|men|women|children)"
)


def _is_plural(text: str) -> bool:
    """Whether it is no more than up to three words that end in a plural: "apples", "red apples".

    The last of them is no unit: working hours are hours.
    """
    said = plain(text)
    return _PLURAL.fullmatch(said) is not None and unit(re.split("[ -]", said)[-1]) is None


def _unit(text: str, money: str) -> Unit | None | bool:
    """The unit in front or behind; None for none or for a noun; False where the rest is no unit at all."""
    before = unit(money) if money else None
    if not text:
        return before
    if _PI.match(text):  # 6pi is no count of things that are called pi
        return False
    found = unit(text)
    words = text.split()
    for n in range(min(len(words), 6) - 1, 0, -1):  # "5 cm long", "3 m/s to the east"
        found = found or unit(" ".join(words[:n]))
    if found is None and plain(text)[:1] in SIGNS:  # 3万人
        found = Unit(Fraction(scaled(plain(text))[0]), ())
    if found is not None and before is not None:
        is_scale = not found.dimension and not found.percent
        return before._replace(factor=before.factor * found.factor) if is_scale else before
    if found is None and (not _WORDY.fullmatch(text) or re.search(r"\\(?!text|mathrm|mbox|,|;|%)|\^", text)):
        return False
    if found is None and len(text) < 3 and text.isascii() and not re.search(r"[A-Za-z]{2}", text):
        return False  # 5x, 3y
    return found or before


def _calculated(text: str) -> Amount | None:
    """An expression without unknowns, such as 2√3 cm or 3π/4, by its digits."""
    from curate.maths.answer import read
    from curate.maths.probe import Undefined, values
    from curate.maths.quantity import measured
    from curate.maths.settle import settle
    from curate.maths.tree import TooMuch, Unreadable

    try:
        node: Any = settle(read(text))
        found = measured(node.args[1] if node.head == "def" else node)
        value = Fraction(float(values(found.value, found.value, {}, 20, real=True)[0]))
    except (Unreadable, TooMuch, Undefined, ArithmeticError, ValueError, RecursionError, TypeError):
        return None
    if found.kind in ("none", "noun"):
        return Amount(value, None, False, counted=_is_plural(found.text))
    if isinstance(found.kind, str):
        return Amount(value, unit(found.kind), False)  # degree, radian, percent
    return Amount(value, Unit(found.factor, found.kind, found.offset), False)

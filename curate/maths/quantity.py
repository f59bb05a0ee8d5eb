"""A value apart from its unit: SI units by their factor, money by its currency, degrees, percent, nouns."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

from curate.maths.tree import Node

_MONEY = {
    "$": ("dollar", 1), "dollar": ("dollar", 1), "usd": ("dollar", 1), "us dollar": ("dollar", 1),
    "cent": ("dollar", Fraction(1, 100)), "¢": ("dollar", Fraction(1, 100)),
    "penny": ("dollar", Fraction(1, 100)),
    "pennie": ("dollar", Fraction(1, 100)), "€": ("euro", 1), "euro": ("euro", 1), "eur": ("euro", 1),
    "£": ("pound sterling", 1), "gbp": ("pound sterling", 1), "¥": ("yen", 1), "yen": ("yen", 1),
    "yuan": ("yuan", 1),
    "rmb": ("yuan", 1), "₹": ("rupee", 1), "rupee": ("rupee", 1), "rs": ("rupee", 1), "inr": ("rupee", 1),
}  # fmt: skip
_DEGREES = frozenset({"degree", "degrees", "deg"})
_RADIANS = frozenset({"radian", "radians", "rad", "rads"})
_PERCENT = frozenset({"percent", "per cent", "%", "percentage", "pct"})


class Measure(NamedTuple):
    """A value and what it is measured in. kind: none, noun, degree, percent, or the name of a dimension."""

    value: Node
    kind: Any
    factor: Any = 1
    offset: Any = 0


def unit_of(text: str) -> Any:
    """The unit that a text names, or None: a counting noun, or nothing we know."""
    try:
        from curate.maths.units import unit
    except ImportError:
        return None
    return unit(text)


def measured(node: Node) -> Measure:
    """A scalar as its value and its unit."""
    if node.head == "deg":
        return Measure(node.args[0], "degree")
    if node.head == "pct":
        return Measure(node.args[0], "percent")
    if node.head != "qty":
        return Measure(node, "none")
    value, said = node.args[0], re.sub(r"[{}]", "", node.args[1]).strip(" .")
    if value.head in ("pct", "deg"):
        return measured(value)
    low = said.casefold()
    if low in _DEGREES or low in _RADIANS or low in _PERCENT:
        kind = "degree" if low in _DEGREES else "percent" if low in _PERCENT else "none"
        return Measure(value, kind)
    money = _MONEY.get(low) or _MONEY.get(low.removesuffix("s"))
    if money:
        return Measure(value, money[0], money[1])
    unit = unit_of(said)
    if unit is None:
        return Measure(value, "noun")
    if not any(unit.dimension) and not unit.offset and unit.factor == 1:
        return Measure(value, "none")
    return Measure(value, unit.dimension, unit.factor, unit.offset)

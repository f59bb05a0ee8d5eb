"""A value apart from its unit: SI units by their factor, money by its currency, degrees, percent, nouns."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

from curate.maths.spelled import SCALES
from curate.maths.tree import Node, add, mul, num

_DEGREES = frozenset({"degree", "degrees", "deg", "度"})
_RADIANS = frozenset({"radian", "radians", "rad", "rads"})
_PERCENT = frozenset({"percent", "per cent", "%", "percentage", "pct"})


class Measure(NamedTuple):
    """A value and what it is measured in. kind: none, noun, degree, percent, or a dimension.

    text: the unit as it is written.
    """

    value: Node
    kind: Any
    factor: Any = 1
    offset: Any = 0
    text: str = ""


def unit_of(text: str) -> Any:
    """The unit that a text names, or None: a counting noun, or nothing we know."""
    from curate.maths.units import unit

    return unit(text)


def measured(node: Node) -> Measure:
    """A scalar as its value and its unit."""
    if node.head == "deg":
        return Measure(node.args[0], "degree")
    if node.head == "pct":
        return Measure(node.args[0], "percent")
    if node.head == "add" and all(n.head == "qty" for n in node.args):
        return _compound(node)
    if node.head != "qty":
        return Measure(node, "none")
    value, said = node.args[0], re.sub(r"[{}]", "", node.args[1]).strip(" .")
    if value.head in ("pct", "deg"):
        return measured(value)
    low = said.casefold()
    if low in _DEGREES or low in _RADIANS or low in _PERCENT:
        kind = "degree" if low in _DEGREES else "percent" if low in _PERCENT else "radian"
        return Measure(value, kind)
    scale, _, scaled = low.partition(" ")
    if scaled and scale in SCALES:  # 1.2 million dollars
        return measured(Node("qty", (mul(num(SCALES[scale]), value), said[len(scale) :])))
    unit = unit_of(said)
    if unit is None:
        return Measure(value, "noun", text=said)
    if not unit.dimension:
        return Measure(mul(num(Fraction(unit.factor)), value), "percent" if unit.percent else "none")
    return Measure(value, unit.dimension, unit.factor, unit.offset, said)


def _compound(node: Node) -> Measure:
    """5 feet 3 inches: the sum in SI."""
    found = [measured(n) for n in node.args]
    if len({m.kind for m in found}) > 1 or any(m.offset for m in found):
        return Measure(node, "none")
    return Measure(add(*(mul(num(Fraction(m.factor)), m.value) for m in found)), found[0].kind)

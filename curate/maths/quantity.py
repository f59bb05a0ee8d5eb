"""A value apart from its unit: SI units by their factor, money by its currency, degrees, percent, nouns."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

from curate.maths.tree import Node, add, mul, num
from curate.scale_words import SIGNS, scaled

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
    scale, rest = (12, said[5:]) if low.startswith("dozen ") else scaled(said)
    if scale > 1 and rest and (rest[0] == " " or said[0] in SIGNS):  # 1.2 million dollars, 3万元
        return measured(Node("qty", (mul(num(scale), value), rest)))
    unit = unit_of(said)
    if unit is None:
        return Measure(value, "noun", text=said)
    if not unit.dimension:
        return Measure(mul(num(Fraction(unit.factor)), value), "percent" if unit.percent else "none")
    return Measure(value, unit.dimension, unit.factor, unit.offset, said)


_OPPOSITES = {
    frozenset(pair.split())
    for pair in (
        "increase decrease|increased decreased|rise fall|gain loss|profit loss|profit deficit|left right"
        "|north south|east west|north east|north west|south east|south west|up down|upward downward"
        "|upwards downwards|above below|clockwise counterclockwise|clockwise anticlockwise|more less"
        "|more fewer|real complex|real imaginary|real nonreal|even odd|before after|faster slower"
        "|older younger|taller shorter|heavier lighter|men women|boys girls|males females|wins losses"
    ).split("|")
}


def opposed(a: Node, b: Node) -> bool:
    """Whether two quantities count opposite things: 10% decrease is no 10% increase; 5 men are no 5 women."""
    if a.head != "qty" or b.head != "qty" or a.args[1] == b.args[1]:
        return False
    words = [set(re.findall("[a-z]+", n.args[1].casefold())) for n in (a, b)]
    mine, theirs = words[0] - words[1], words[1] - words[0]
    return any(frozenset((one, other)) in _OPPOSITES for one in mine for other in theirs)


def nouns(items: list[Node]) -> dict[str, Node]:
    """The values of several counts by what they count (3 boys, 4 girls); empty where not each has its own."""
    found = [measured(n) if n.head == "qty" else Measure(n, "none") for n in items]
    by_noun = {m.text.casefold(): m.value for m in found if m.kind == "noun"}
    return by_noun if len(by_noun) == len(items) > 1 else {}


def _compound(node: Node) -> Measure:
    """5 feet 3 inches: the sum in SI."""
    found = [measured(n) for n in node.args]
    if len({m.kind for m in found}) > 1 or any(m.offset for m in found):
        return Measure(node, "none")
    return Measure(add(*(mul(num(Fraction(m.factor)), m.value) for m in found)), found[0].kind)

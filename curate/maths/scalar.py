"""Two values, compared: canonical forms first, then modulo primes, then by their digits, and one proof."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from curate.maths.canon import canon, sum_of
from curate.maths.names import is_unit
from curate.maths.probe import equal_values
from curate.maths.proof import proved
from curate.maths.quantity import Measure, measured, opposed
from curate.maths.residue import equal_residues
from curate.maths.tree import PI, Node, TooMuch, mul, num, over, swap, sym, symbols, walk

_SHAPES = frozenset(
    "() [] (] [) <> set list and or rows row rel union inter without builder text def pm mp mod".split()
)
_CONSTANTS = frozenset("cCkK")
_COUNTERS = frozenset("k n m l N K M t j p q r s".split())


def is_scalar(node: Node) -> bool:
    return not any(n.head in _SHAPES for n in walk(node))


def same_value(a: Node, b: Node, policy: Any) -> bool | None:
    """Whether two scalars are equal, under the policy for units, percent, degrees and rounding."""
    if opposed(a, b):
        return False
    left, right = measured(a), measured(b)
    if left.kind == right.kind:
        if left[1:4] == right[1:4]:
            same = same_number(left.value, right.value, policy)
            loose = left.kind == "none" and policy.missing_unit == "equal"
            return same or (_without_degrees(left.value, right.value, policy) if loose else same)
        return same_number(_converted(left), _converted(right), policy)
    loose = ("none", "noun", "radian")
    if {left.kind, right.kind} == {"degree", "radian"}:
        turned, other = (left, right) if left.kind == "degree" else (right, left)
        return same_number(canon(Node("deg", (turned.value,))), other.value, policy)
    if left.kind in loose and right.kind in loose:
        return same_number(left.value, right.value, policy)
    if left.kind in loose or right.kind in loose:
        bare, other = (left, right) if left.kind in loose else (right, left)
        return _one_unit(bare, other, policy)
    return False


def _one_unit(bare: Measure, other: Measure, policy: Any) -> bool | None:
    """One side names a unit, the other none."""
    if other.kind == "percent":
        same = same_number(canon(Node("pct", (other.value,))), bare.value, policy)
        return same or (policy.percent == "either" and same_number(other.value, bare.value, policy))
    if bare.kind == "none" and isinstance(other.kind, tuple) and (spelled := _as_unit(bare.value)):
        return same_value(Node("qty", spelled), Node("qty", (other.value, other.text)), policy)
    if other.kind == "degree":
        same = same_number(canon(Node("deg", (other.value,))), bare.value, policy)
        return same or (policy.missing_unit == "equal" and same_number(other.value, bare.value, policy))
    if bare.kind == "noun" and not _may_be(bare.text, other):
        return False
    if policy.missing_unit == "equal" and same_number(other.value, bare.value, policy):
        return True
    letter = other.text if len(other.text) == 1 else ""  # 2 h may be two hours, or twice h
    return bool(letter) and same_number(mul(other.value, sym(letter)), bare.value, policy)


def _may_be(noun: str, unit: Measure) -> bool:
    """Whether words that are no unit may stand for one: "units", "cm of rope"; apples are no kilometres."""
    words = re.findall(r"[^\W\d_]+", noun)
    if not words or not noun.isascii() or any(w.casefold().startswith("unit") for w in words):
        return True
    return any(measured(Node("qty", (num(1), w))).kind == unit.kind for w in words)


def _without_degrees(a: Node, b: Node, policy: Any) -> bool | None:
    """180° - x beside 180 - x: degrees in a sum, left out on one side."""
    bare = [Node(n.head, tuple(_inner(t) for t in n.args)) if n.head == "add" else n for n in (a, b)]
    if (bare[0] == a) == (bare[1] == b):
        return False
    return same_number(bare[0], bare[1], policy)


def _inner(term: Node) -> Node:
    if term.head == "mul" and term.args[-1].head == "deg":
        return Node("mul", (*term.args[:-1], term.args[-1].args[0]))
    return term.args[0] if term.head == "deg" else term


def _as_unit(value: Node) -> tuple[Node, str] | None:
    """5 m, read as a product of 5 and an unknown, as the value and the unit."""
    value = canon(value)
    if value.head != "mul" or value.args[-1].head != "sym" or len(value.args) < 2:
        return None
    name = value.args[-1].args[0]
    name = name if len(name) == 1 else f"\\{name}"
    return (mul(*value.args[:-1]), name) if is_unit(name) and not symbols(mul(*value.args[:-1])) else None


def _converted(measure: Measure) -> Node:
    factor, offset = Fraction(measure.factor), Fraction(measure.offset)
    return canon(Node("add", (mul(num(factor), measure.value), num(offset))))


def same_modulo(a: Node, b: Node, policy: Any) -> bool | None:
    """3 mod 7 beside 10 mod 7, and beside 3."""
    (x, n), (y, m) = (node.args if node.head == "mod" else (node, None) for node in (a, b))
    if n is not None and m is not None and canon(n) != canon(m):
        return False
    x, y, by = canon(x), canon(y), canon(n or m)
    if x.head == y.head == by.head == "num" and by.args[0]:
        return (x.args[0] - y.args[0]) % by.args[0] == 0
    return same_value(x, y, policy)


def same_number(a: Node, b: Node, policy: Any) -> bool | None:
    """Whether two expressions are equal; True also for a rounded decimal where the policy says so."""
    if a.head == b.head == "based" and a.args[1:] != b.args[1:]:
        return a.args[0] == b.args[0]
    if "based" in (a.head, b.head):
        based, other = (a, b) if a.head == "based" else (b, a)
        if other.head == "num" and str(other.args[0]) == based.args[1]:
            return True
    a, b = canon(a), canon(b)
    same = equal(a, b)
    if same is False and policy.rounded == "equal":
        same = _rounds(a, b) or _rounds(b, a)
    if same is False and policy.degrees == "equal":
        same = _turned(a, b) or _turned(b, a)
    return same if same is not False else _renamed(a, b)


def equal(a: Node, b: Node) -> bool | None:
    """Whether two canonical scalars are equal; None where nobody can tell."""
    if a == b:
        return True
    if a.head == b.head == "num" or "ratio" in (a.head, b.head):
        return False
    if _infinite(a) or _infinite(b):
        return False if _infinite(a) != _infinite(b) or symbols(a) == symbols(b) else None
    gap = sum_of([a, canon(mul(num(-1), b))])
    if gap.head == "num":
        return not gap.args[0]
    same = equal_residues(a, b)
    if same is None:
        same = _by_value(a, b)
    return same if same is not True else proved(a, b) is not False


def _by_value(a: Node, b: Node) -> bool | None:
    try:
        same = equal_values(a, b)
    except TooMuch:
        pass
    else:
        if same is None and not symbols(a) and not symbols(b):
            return False if _is_defined(a) != _is_defined(b) else None
        return same
    sizes = [_is_huge(a), _is_huge(b)]
    if symbols(a) or symbols(b) or sizes[0] == sizes[1]:
        if (
            sizes == [True, True]
            and a.head == b.head == "pow"
            and a.args[0] == b.args[0]
            and a.args[0].head == "num"
        ):
            return equal(a.args[1], b.args[1])
        raise TooMuch("numbers too large to compare")
    return False


def _is_huge(node: Node) -> bool:
    """Whether a constant has more digits than we write down."""
    try:
        equal_values(node, num(0))
    except TooMuch:
        return True
    return False


def _is_defined(node: Node) -> bool:
    return equal_values(node, num(0)) is not None


def _infinite(node: Node) -> bool:
    return any(n == ("const", ("inf",)) for n in walk(node))


def _rounds(decimal: Node, exact: Node) -> bool:
    """Whether a decimal of at least one place is the other, rounded to its places."""
    if decimal.head != "num" or symbols(exact):
        return False
    value = decimal.args[0]
    places = next((n for n in range(1, 30) if (value * 10**n).denominator == 1), 0)
    if not places or value.denominator == 1:
        return False
    half = num(Fraction(1, 2 * 10**places))
    import mpmath

    from curate.maths.probe import Undefined, values

    try:
        left, right, _ = values(exact, decimal, {}, 50, real=True)
    except (Undefined, TooMuch):
        return False
    return bool(abs(left - right) <= mpmath.mpf(half.args[0].numerator) / half.args[0].denominator)


def _turned(degrees: Node, radians: Node) -> bool:
    """Whether a bare number of degrees is the other in radians."""
    if degrees.head != "num" or not any(n == PI for n in walk(radians)):
        return False
    return canon(over(mul(degrees, PI), num(180))) == radians


def _renamed(a: Node, b: Node) -> bool:
    """Equal but for the letter of a counter (n pi and k pi), or for capitals (2c and 2C)."""
    left, right = symbols(a), symbols(b)
    if len(left) == len(right) == 1 and left != right and left | right <= _COUNTERS:
        if any(n == PI for n in walk(a)) and any(n == PI for n in walk(b)):
            return equal(canon(swap(a, {sym(*left): sym(*right)})), b) is True
    folded = [{n.casefold() for n in names} for names in (left, right)]
    if left ^ right <= _CONSTANTS and left != right and folded[0] == folded[1]:
        lowered = [{sym(n): sym(n.casefold()) for n in names} for names in (left, right)]
        if len(set(lowered[0].values())) == len(left) and len(set(lowered[1].values())) == len(right):
            return equal(canon(swap(a, lowered[0])), canon(swap(b, lowered[1]))) is True
    return False

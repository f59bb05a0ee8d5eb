"""Whether an algebraic constant is exactly zero: proved by digits, as many as its separation bound asks for.

A real number made of integers by + - * /, k-th roots and sines of rational multiples of pi is U/L with two
algebraic integers of degree at most D, the product of the degrees of its roots. Where u and l bound all
conjugates of U and L, it is zero or at least 1 / (u**(D-1) * l) in size (Burnikel, Funke, Mehlhorn, Schirra
and Schmitt 2001): an interval that is narrower than that and holds zero proves that it is zero.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, log2
from typing import Any, NamedTuple

from curate.maths.canon import parts
from curate.maths.tree import PI, Node

MOST_WORK = 2 * 10**9  # roots and sines times the square of their bits: about half a second
_GUARD = 64


class _Unbounded(ArithmeticError):
    """Not an algebraic number that we can bound, or undefined."""


class _Bound(NamedTuple):
    """Logarithms to base 2: of a bound of every conjugate of the numerator, and of the denominator."""

    top: float
    bottom: float


def is_zero(node: Node) -> bool | None:
    """Whether a constant is zero; None where that is not an algebraic number, or too long to prove."""
    degrees: dict[Any, int] = {}
    try:
        bound = _bound(node, degrees)
        degree = 1
        for each in degrees.values():
            degree *= each
        return _vanishes(node, int((degree - 1) * bound.top + bound.bottom) + 3)
    except (_Unbounded, ZeroDivisionError, OverflowError):
        return None


def _vanishes(node: Node, bits: int) -> bool | None:
    from mpmath.ctx_iv import MPIntervalContext

    context, seen = MPIntervalContext(), dict[Node, Any]()
    for precision in (200, 1500, bits + _GUARD, 2 * bits + 4 * _GUARD):
        if len(seen) * precision**2 > MOST_WORK:
            break
        context.prec, seen = precision, {}
        found = _interval(context, node, seen)
        if not found.a <= 0 <= found.b:
            return False
        if precision > bits and max(abs(found.a), abs(found.b)) < context.mpf(2) ** -bits:
            return True
    return None


def _bound(node: Node, degrees: dict[Any, int]) -> _Bound:
    head, args = node
    if head == "num":
        value = args[0]
        return _Bound(log2(abs(value.numerator) or 1), log2(value.denominator))
    if head == "add":
        terms = [_bound(a, degrees) for a in args]
        bottom = sum(t.bottom for t in terms)
        return _Bound(max(t.top + bottom - t.bottom for t in terms) + log2(len(terms)), bottom)
    if head == "mul":
        terms = [_bound(a, degrees) for a in args]
        return _Bound(sum(t.top for t in terms), sum(t.bottom for t in terms))
    if head == "pow" and args[1].head == "num":
        exponent = args[1].args[0]
        top, bottom = _root(args[0], exponent.denominator, degrees)
        times = abs(exponent.numerator)
        return _Bound(top * times, bottom * times) if exponent > 0 else _Bound(bottom * times, top * times)
    if head == "call" and args[0] in ("sin", "cos", "tan"):
        order = 2 * _turn(args[1]).denominator
        degrees["i"], degrees[order] = 2, sum(gcd(n, order) == 1 for n in range(1, order + 1))
        return _Bound(1, 1)  # sums of two roots of unity, over 2, 2i or the like
    raise _Unbounded(head)


def _root(base: Node, k: int, degrees: dict[Any, int]) -> _Bound:
    """The k-th root of U/L as that of U * L**(k-1), over L; the other way round where that is smaller."""
    top, bottom = _bound(base, degrees)
    if k == 1:
        return _Bound(top, bottom)
    degrees[base, k] = k
    if top >= bottom:
        return _Bound((top + (k - 1) * bottom) / k, bottom)
    return _Bound(top, ((k - 1) * top + bottom) / k)


def _turn(angle: Node) -> Fraction:
    """What an angle is of pi."""
    share, rest = parts(angle)
    if rest != PI or share.denominator > 200:
        raise _Unbounded
    return share


def _interval(context: Any, node: Node, seen: dict[Node, Any]) -> Any:
    """An interval that surely holds the value. seen: those of roots and sines, which cost most."""
    head, args = node
    if head == "num":
        return context.mpf(args[0].numerator) / args[0].denominator
    if head == "add":
        return sum((_interval(context, a, seen) for a in args), context.mpf(0))
    if head == "mul":
        found = context.mpf(1)
        for factor in args:
            found = found * _interval(context, factor, seen)
        return found
    if node not in seen:
        seen[node] = (
            _power(context, _interval(context, args[0], seen), args[1].args[0])
            if head == "pow"
            else _of_turn(context, args[0], _turn(args[1]))
        )
    return seen[node]


def _of_turn(context: Any, name: str, turn: Fraction) -> Any:
    angle = context.pi * turn.numerator / turn.denominator
    sine, cosine = context.sin(angle), context.cos(angle)
    return sine if name == "sin" else cosine if name == "cos" else _divided(sine, cosine)


def _power(context: Any, base: Any, exponent: Fraction) -> Any:
    if exponent < 0:
        return _divided(context.mpf(1), _power(context, base, -exponent))
    if exponent.denominator == 1:
        return base**exponent.numerator
    if base.b < 0 and exponent.denominator % 2:  # the real root, as everywhere
        return (-1) ** (exponent.numerator % 2) * _power(context, -base, exponent)
    if base.a <= 0:
        raise _Unbounded("a root of what may not be positive")
    return context.exp(context.log(base) * exponent.numerator / exponent.denominator)


def _divided(top: Any, bottom: Any) -> Any:
    if bottom.a <= 0 <= bottom.b:
        raise _Unbounded("a division by what may be zero")
    return top / bottom

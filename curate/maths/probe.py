"""Trees compared by value: at 50 digits, then again at 150, in several random points that never change.

Unknowns are real, positive in some points and of either sign in others; a point where anything on the way is
undefined or leaves the reals is left out. Numbers too large to write down raise TooMuch, and cost nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from curate.maths.tree import Node, TooMuch, symbols, walk

DIGITS = (50, 150)
_HUGE = 10**7  # digits of a result, or of what a sine is taken of


class Undefined(ArithmeticError):
    """No value at this point."""


def equal_values(a: Node, b: Node) -> bool | None:
    """Whether two canonical trees agree wherever both are defined; None where they nowhere are."""
    names = sorted(symbols(a) | symbols(b))
    free = any(n == ("const", ("i",)) for tree in (a, b) for n in walk(tree))
    found = _agree(a, b, _points(names), real=not free)
    if found is None and not free:
        found = _agree(a, b, _points(names), real=False)
    return found


def _agree(a: Node, b: Node, points: Iterator[dict[str, Fraction]], *, real: bool) -> bool | None:
    """False at the first point where they differ, True where they agree in two (one for constants)."""
    agreed = 0
    point: dict[str, Fraction] = {}
    for point in points:
        try:
            if not _equal_at(a, b, point, real=real):
                return False
        except Undefined:
            continue
        agreed += 1
    return True if agreed >= (2 if point else 1) else None


def _equal_at(a: Node, b: Node, point: dict[str, Fraction], *, real: bool) -> bool:
    """Equal to 40 digits and to 140, or a difference that is noise: it vanishes as the digits grow."""
    from mpmath import mpf

    few, many = DIGITS
    left, right, scale = values(a, b, point, few, real=real)
    gap, size = abs(left - right), max(abs(left), abs(right))
    if gap > mpf(10) ** (10 - few) * size and gap > mpf(10) ** (10 - few) * scale:
        return False
    left, right, _ = values(a, b, point, many, real=real)
    finer = abs(left - right)
    close = finer <= mpf(10) ** (10 - many) * max(abs(left), abs(right))
    return bool(close or finer <= mpf(10) ** (few - many + 20) * gap)


_RANGES = ((0.1, 0.95), (-3, -0.1), (2, 9), (-0.95, 0.95), (1.1, 4), (3, 30), (-9, -1))
_WHOLE = (2, 6)


def _points(names: list[str]) -> Iterator[dict[str, Fraction]]:
    if not names:
        yield {}
        return
    for number, (low, high) in enumerate(_RANGES):
        dice = random.Random(f"{number}")
        whole = number in _WHOLE
        yield {
            n: Fraction(dice.randint(int(low), int(high)) if whole else dice.uniform(low, high))
            for n in names
        }


def values(a: Node, b: Node, point: dict[str, Fraction], digits: int, *, real: bool) -> tuple[Any, Any, Any]:
    """Both values at a point, and the largest number met on the way."""
    import mpmath

    with mpmath.workdps(digits + 15):
        walker = _Evaluation(mpmath, point, real)
        try:
            left = walker.value(a)
            right = walker.value(b)
        except (ZeroDivisionError, ValueError, OverflowError, mpmath.libmp.NoConvergence) as e:
            if isinstance(e, TooMuch):
                raise
            raise Undefined(str(e)) from e
        return left, right, walker.scale


class _Evaluation:
    def __init__(self, mp: Any, point: dict[str, Fraction], real: bool) -> None:
        self.mp, self.point, self.real = mp, point, real
        self.scale = mp.mpf(1) / 10**30

    def value(self, node: Node) -> Any:
        found = self._value(node)
        if self.mp.isnan(found) or self.mp.isinf(found):
            raise Undefined
        if self.real and isinstance(found, self.mp.mpc):
            if abs(found.imag) > abs(found) * self.mp.mpf(10) ** (-self.mp.mp.dps + 10):
                raise Undefined
            found = found.real
        self.scale = max(self.scale, abs(found))
        return found

    def _value(self, node: Node) -> Any:
        head, args = node
        if head == "num":
            return self._number(args[0])
        if head == "sym":
            if args[0] not in self.point:
                raise Undefined
            return self._number(self.point[args[0]])
        if head == "const" and args[0] in ("pi", "e", "i"):
            return {"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[args[0]]
        if head == "add":
            return self.mp.fsum([self.value(a) for a in args])
        if head == "mul":
            found = self.mp.mpf(1)
            for factor in args:
                found = found * self.value(factor)
            return found
        if head == "pow":
            return self._power(*args)
        if head == "call" and args[0] in FUNCTIONS:
            return self._call(args[0], [self.value(a) for a in args[1:]])
        raise Undefined(f"{head} has no value")

    def _number(self, value: Fraction) -> Any:
        return self.mp.mpf(value.numerator) / value.denominator

    def _power(self, base: Node, exponent: Node) -> Any:
        under, over = self.value(base), self.value(exponent)
        if not under and self.mp.re(over) <= 0:
            raise Undefined
        size = abs(over) * (abs(self.mp.log(abs(under))) + 1) if under else 0
        if size > _HUGE:
            raise TooMuch("a number of more than a million digits")
        odd = exponent.head == "num" and exponent.args[0].denominator % 2 and exponent.args[0].denominator > 1
        if odd and isinstance(under, self.mp.mpf) and under < 0:
            return (-1) ** (exponent.args[0].numerator % 2) * self.mp.power(-under, over)
        return self.mp.power(under, over)

    def _call(self, name: str, args: list[Any]) -> Any:
        if name not in ("abs", "floor", "ceil", "ln", "log") and any(abs(a) > _HUGE for a in args):
            raise TooMuch(f"{name} of a huge number")
        if name in ("floor", "ceil"):
            args = [self._snapped(args[0])]
        try:
            return FUNCTIONS[name](self.mp, *args)
        except TypeError as e:
            raise Undefined(str(e)) from e

    def _snapped(self, value: Any) -> Any:
        near = self.mp.nint(value)
        return near if abs(value - near) < self.mp.mpf(10) ** -30 else value


def _log(mp: Any, value: Any, base: Any = 10) -> Any:
    return mp.log(value) / mp.log(base)


def _mpmath(spelled: str) -> Callable[..., Any]:
    return lambda mp, x: getattr(mp, spelled)(x)


_SPELLED = (
    "sin:sin cos:cos tan:tan cot:cot sec:sec csc:csc sinh:sinh cosh:cosh tanh:tanh coth:coth arcsin:asin"
    " arccos:acos arctan:atan arccot:acot arcsec:asec arccsc:acsc arcsinh:asinh arccosh:acosh arctanh:atanh"
    " ln:log floor:floor ceil:ceil abs:fabs factorial:factorial sgn:sign"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: _mpmath(spelled) for name, spelled in (p.split(":") for p in _SPELLED.split())
}
FUNCTIONS |= {
    "log": _log,
    "binom": lambda mp, n, k: mp.binomial(n, k),
    "max": lambda mp, *xs: max(xs),
    "min": lambda mp, *xs: min(xs),
}

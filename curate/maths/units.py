r"""A unit as it is written becomes its value in SI: "km/h", `\mathrm{kg\cdot m^2}`, "square feet", "cents".

Counting nouns (apples, students) and what we do not know are None; the caller decides what they mean.

What one letter means, where it could mean several things: m metre (`m` before a unit: milli), s second,
h hour, d day, g gram, t tonne, l and L litre, A ampere, C coulomb (a temperature needs its degree sign),
F farad, K kelvin, M mole per litre, T tesla, V volt, W watt, B byte. `min` is a minute, `in` an inch, `oz`
and `lb` are masses (a pound per square inch is one of force), `ton` is the short ton and `tonne` the metric
one, gallons, pints, cups and spoons are American, `cal` is 4.184 J and `Cal` a thousand of them,
a year has 365.25 days and twelve months. `$` is the dollar of the United States; ¥ does not say whether it is
yen or yuan, so these two are not told apart. Prefixes count in thousands for bytes too (KiB counts in 1,024).
An angle is a dimension of its own, but where a unit has others it is left out: rad/s is 1/s.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from curate.maths.unit_text import plain
from curate.unit_names import SCALES, named, ratio

LONGEST = 80  # characters
STEEPEST = 12  # the highest power


class Unit(NamedTuple):
    """`value * factor + offset` is the value in SI; factor and offset are exact unless measured or with π.

    dimension: (base, power) pairs in order; empty for a pure number ("million", "%", "ppm"). percent: whether
    it is one, for callers who have a policy about it. Money has its currency as its base.
    """

    factor: Fraction | float
    dimension: tuple[tuple[str, Fraction], ...]
    offset: Fraction | float = Fraction(0)
    percent: bool = False


_Dims = dict[str, Fraction]
_ANGLES = ("rad", "sr")


class _No(Exception):
    """The text is no unit."""


@lru_cache(4096)
def unit(text: str) -> Unit | None:
    r"""The unit that the whole text names, or None.

    >>> unit("km/h").factor, unit(r"\text{ cm}^2").dimension
    (Fraction(5, 18), (('m', Fraction(2, 1)),))
    """
    if len(text) > LONGEST:
        return None
    said = plain(text)
    if said[:3] == "deg" and (scale := SCALES.get(said[3:])):
        return Unit(ratio(scale[0]), (("K", Fraction(1)),), ratio(scale[1]))
    try:
        reader = _Reader(_TOKEN.findall(said))
        factor, dims = reader.quotient()
        if reader.left or not reader.named:
            return None
        if set(dims) - set(_ANGLES):
            dims = {base: power for base, power in dims.items() if base not in _ANGLES}
        if not factor or factor == float("inf"):
            return None
    except (_No, OverflowError, ZeroDivisionError):
        return None
    return Unit(factor, tuple(sorted(dims.items())), percent=reader.percent)


_TOKEN = re.compile(r"\\frac|\d+(?:\.\d+)?|[ACH]K?\$|R\$|[^\W\d_]+|\S| (?=\S)")
_BOUND = {"per", "a", "an", "each"}


class _Reader:
    """Reads products, powers and quotients out of tokens; `named` once a unit was met."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens[::-1]
        self.named = self.percent = self.first = False
        self.deep = 0

    def peek(self) -> str:
        return self.left[-1] if self.left else ""

    def take(self) -> str:
        return self.left.pop()

    def skip(self, *signs: str) -> None:
        while self.left and self.peek() in (" ", *signs):
            self.take()

    def quotient(self) -> tuple[Fraction | float, _Dims]:
        """Products between slashes; each of them divides whole, as people mean it: J/kg·K is J/(kg·K)."""
        factor: Fraction | float = Fraction(1)
        dims: _Dims = {}
        sign = Fraction(1)
        self.skip()
        while True:
            if self.peek() == "/" or self.peek() in _BOUND:
                self.take()
                sign = Fraction(-1)
            factor, dims = _times(factor, dims, *self.product(), sign)
            self.skip()
            if self.peek() != "/" and self.peek() not in _BOUND:
                return factor, dims

    def product(self) -> tuple[Fraction | float, _Dims]:
        self.skip()
        self.first = True
        factor, dims = self.power()
        while True:
            self.skip("*", ".", "-")
            if not self.left or self.peek() in (")", "}", "/", *_BOUND):
                return factor, dims
            factor, dims = _times(factor, dims, *self.power(), Fraction(1))

    def power(self) -> tuple[Fraction | float, _Dims]:
        """A factor and the power it is raised to, before it ("square") or behind."""
        raised = Fraction(1)
        if (before := _BEFORE.get(self.peek().lower())) and len(self.left) > 1:
            self.take()
            self.skip()
            raised = before
        factor, dims = self.atom()
        return _times(Fraction(1), {}, factor, dims, raised * self.exponent(bool(dims)))

    def exponent(self, of_unit: bool) -> Fraction:
        spaced = self.peek() == " "
        if spaced and (self.left[-2] == "^" or self.left[-2].lower() in _BEHIND):
            self.take()
        if (behind := _BEHIND.get(self.peek().lower())) is not None:
            self.take()
            return behind
        if self.peek() == "^":
            self.take()
            return self.number(braced=True)
        after = self.peek() if self.peek() != "-" else "".join(self.left[-2:-1])
        if of_unit and not spaced and after.isdecimal():  # m2, s-1
            return self.number(braced=False)
        return Fraction(1)

    def number(self, braced: bool) -> Fraction:
        self.skip()
        closing = {"{": "}", "(": ")"}.get(self.peek(), "") if braced else ""
        said = ""
        if closing:
            self.take()
        while self.left and self.peek() != closing and (closing or re.fullmatch(r"[-+\d.]+", self.peek())):
            said += self.take().strip()
            if not closing and said[-1].isdigit():
                break
        if closing and (not self.left or not self.take()):
            raise _No
        if not re.fullmatch(r"[-+]?\d{1,2}(?:/\d|\.\d)?", said) or abs(value := Fraction(said)) > STEEPEST:
            raise _No
        return value

    def atom(self) -> tuple[Fraction | float, _Dims]:
        if not self.left:
            raise _No
        token = self.take()
        if token in ("(", "{", "\\frac"):
            self.deep += 1
            if self.deep > 8:
                raise _No
            found = self.fraction() if token == "\\frac" else self.group(")" if token == "(" else "}")
            self.deep -= 1
            return found
        if token.replace(".", "", 1).isdigit():
            if not self.first or len(token) > 9 or not self.named and token not in ("1", "10"):
                raise _No
            return Fraction(token), {}
        self.named, self.first = True, False
        if token == "%":
            self.percent = True
            return Fraction(1, 100), {}
        found_unit = _degrees(token) or named(token)
        if found_unit is None:
            raise _No
        return found_unit[0], dict(found_unit[1])

    def group(self, closing: str) -> tuple[Fraction | float, _Dims]:
        found = self.quotient()
        self.skip()
        if not self.left or self.take() != closing:
            raise _No
        return found

    def fraction(self) -> tuple[Fraction | float, _Dims]:
        parts = []
        for _ in range(2):
            self.skip()
            if not self.left or self.take() != "{":
                raise _No
            parts.append(self.group("}"))
        return _times(*parts[0], *parts[1], Fraction(-1))


_BEFORE = {w: Fraction(2) for w in ("square", "sq")} | {w: Fraction(3) for w in ("cubic", "cu")}
_BEHIND = {"squared": Fraction(2), "cubed": Fraction(3)}


def _degrees(token: str) -> tuple[Fraction | float, tuple[tuple[str, Fraction], ...]] | None:
    """A degree of a scale inside a compound is a difference: it has no offset."""
    scale = SCALES.get(token[3:]) if token.startswith("deg") else None
    return (ratio(scale[0]), (("K", Fraction(1)),)) if scale else None


def _times(
    factor: Fraction | float, dims: _Dims, other: Fraction | float, powers: _Dims, raised: Fraction
) -> tuple[Fraction | float, _Dims]:
    """One value times another to a power; what cancels leaves no dimension."""
    whole = int(raised) if raised.denominator == 1 else float(raised)
    found = {base: dims.get(base, Fraction(0)) + raised * powers.get(base, 0) for base in {*dims, *powers}}
    if any(abs(power) > STEEPEST for power in found.values()):
        raise _No
    value = factor * other**whole
    return value, {base: power for base, power in found.items() if power}

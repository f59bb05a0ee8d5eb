"""Powers of rational numbers: exact where small, roots in lowest terms, left alone where huge."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from curate.maths.tree import BITS, IMAGINARY, Node, TooMuch, mul, num, power

_TRIALS = 1000


@lru_cache(1024)
def numeric_power(base: Fraction, exponent: Fraction) -> Node:
    """base ** exponent: a number, a number times roots of small integers, or the power as it stands.

    A negative base has its real root where the exponent's denominator is odd: the cube root of -8 is -2.
    """
    if exponent.denominator == 1:
        return _whole(base, exponent.numerator)
    if base in (0, 1):
        return num(base) if base or exponent > 0 else power(num(base), num(exponent))
    if base < 0:
        if exponent.denominator % 2:
            root = numeric_power(-base, exponent)
            return root if exponent.numerator % 2 == 0 else _product([num(-1), root])
        if exponent == Fraction(1, 2):
            return _product([numeric_power(-base, exponent), IMAGINARY])
        return power(num(base), num(exponent))
    if max(base.numerator, base.denominator).bit_length() > 200 or abs(exponent) > 200:
        return power(num(base), num(exponent))
    return _roots(base, exponent)


def _product(factors: list[Node]) -> Node:
    from curate.maths.canon import product_of

    return product_of(factors)


def _whole(base: Fraction, exponent: int) -> Node:
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base in (0, 1, -1) and (base or exponent > 0):
        return num(base if exponent % 2 else abs(base)) if base else num(0)
    if base == 0:
        return num(1) if exponent == 0 else power(num(0), num(exponent))
    if size * abs(exponent) > BITS:
        return power(num(base), num(exponent))
    return num(base**exponent)


def _roots(base: Fraction, exponent: Fraction) -> Node:
    outside = Fraction(1)
    inside: list[Node] = []
    for value, sign in ((base.numerator, 1), (base.denominator, -1)):
        for prime, count in prime_powers(value):
            total = exponent * count * sign
            whole = total.numerator // total.denominator
            if prime.bit_length() * abs(whole) > BITS:
                raise TooMuch("a root of too large a power")
            outside *= Fraction(prime) ** whole
            if total - whole:
                inside.append(power(num(prime), num(total - whole)))
    inside.sort(key=repr)
    factors = [*([num(outside)] if outside != 1 else []), *inside]
    return mul(*factors) if factors else num(1)


def prime_powers(value: int) -> list[tuple[int, int]]:
    """Small primes with their exponents; what is left counts as one more, a perfect square as its root."""
    found = []
    for prime in (2, 3, *range(5, _TRIALS, 2)):
        if prime * prime > value:
            break
        count = 0
        while value % prime == 0:
            value, count = value // prime, count + 1
        if count:
            found.append((prime, count))
    if value > 1:
        root, times = _perfect(value)
        found.append((root, times))
    return found


def _perfect(value: int) -> tuple[int, int]:
    for times in (2, 3, 5):
        root = round(value ** (1 / times)) if value.bit_length() < 1000 else 0
        for near in (root - 1, root, root + 1):
            if near > 1 and near**times == value:
                inner, more = _perfect(near)
                return inner, more * times
    return value, 1

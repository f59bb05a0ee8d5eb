"""Whether two expressions that agree in their digits are equal, proved: one bounded attempt behind them.

Both are expanded into one fraction of polynomials. Its unknowns are symbols, pi, e**x, logarithms of primes
and whatever stands for itself, under rational exponents; sines and their kin are sums of e**(ix). Where
nothing is left of the numerator they are equal. Algebraic coefficients are proved zero by themselves.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

from curate.maths.algebraic import is_zero
from curate.maths.canon import canon, parts
from curate.maths.radicals import prime_powers
from curate.maths.tree import IMAGINARY, ONE, PI, E, Node, TooMuch, add, call, mul, neg, num, power, symbols

MOST_TERMS = 1500  # of a polynomial
MOST_PRODUCTS = 60_000  # of terms with short factors, in one proof; long ones count as many
_SHORT_BITS = 512
_MOST_SHIFT = 30  # of a factorial beside another

Monomial = frozenset[tuple[Node, Fraction]]
Poly = dict[Monomial, Fraction]
Ratio = tuple[Poly, Poly]

_UNIT: Monomial = frozenset()
_ONE: Poly = {_UNIT: Fraction(1)}
_ANGLES = frozenset("sin cos tan cot sec csc".split())
_HYPERBOLIC = {"sinh": "sin", "cosh": "cos", "tanh": "tan", "coth": "cot"}


def proved(a: Node, b: Node) -> bool | None:
    """True and False are proofs; None where neither is found within the bounds."""
    gap = canon(add(a, neg(b)))
    try:
        if not symbols(gap) and (found := is_zero(gap)) is not None:
            return found
        groups: dict[Monomial, list[Node]] = {}
        for monomial, factor in _Expansion(MOST_PRODUCTS).ratio(gap)[0].items():
            inner = [power(atom, num(n)) for atom, n in monomial if _is_algebraic(atom)]
            outer = frozenset((atom, n) for atom, n in monomial if not _is_algebraic(atom))
            groups.setdefault(outer, []).append(mul(num(factor), *inner))
        zeros = [is_zero(canon(add(*terms))) for terms in groups.values()]
    except (TooMuch, RecursionError, ZeroDivisionError):
        return None
    if all(zeros):
        return True
    return False if False in zeros and _independent({atom for outer in groups for atom, _ in outer}) else None


def _independent(atoms: set[Node]) -> bool:
    """Whether no polynomial in these vanishes unless it is zero: unknowns, and one of pi and e."""
    numbers = [a for a in atoms if a.head != "sym"]
    return not numbers or numbers in ([PI], [E])


def _is_algebraic(atom: Node) -> bool:
    """Whether an atom is a real algebraic number: no unknown, no i, no pi but as an angle."""
    if atom.head == "call":
        return atom.args[0] in ("sin", "cos") and _is_turn(atom.args[1])
    if atom.head in ("add", "mul", "pow"):
        return all(_is_algebraic(a) for a in atom.args)
    return atom.head == "num"


def _is_turn(angle: Node) -> bool:
    """Whether an angle is a rational multiple of pi."""
    return parts(angle)[1] == PI or angle == num(0)


class _Expansion:
    """Trees as fractions of polynomials; raises TooMuch once so many terms have been multiplied."""

    def __init__(self, products: int) -> None:
        self.products = products

    def ratio(self, node: Node) -> Ratio:
        """A canonical tree as numerator and denominator."""
        head, args = node
        if head == "num":
            return ({_UNIT: args[0]} if args[0] else {}), _ONE
        if head == "add":
            return reduce(self._sum, map(self.ratio, args))
        if head == "mul":
            return reduce(self._product, map(self.ratio, args))
        if head == "pow" and args[1].head == "num":
            exponent = args[1].args[0]
            whole = exponent.denominator == 1
            return (
                self._raised(self.ratio(args[0]), exponent.numerator)
                if whole
                else self._term(args[0], exponent)
            )
        if head == "pow" and (args[0] == E or args[0].head == "num" and args[0].args[0] > 0):
            return self._exponential(*args)
        return self._function(node) if head == "call" else self._term(node)

    def _exponential(self, base: Node, exponent: Node) -> Ratio:
        """base ** (a + 2 b / 3) as base ** a, times base ** b to the power of 2/3."""
        found = (_ONE, _ONE)
        for term in exponent.args if exponent.head == "add" else (exponent,):
            share, rest = parts(term)
            piece = self._term(base, share) if rest == ONE else self._term(power(base, rest), share)
            found = self._product(found, piece)
        return found

    def _function(self, node: Node) -> Ratio:
        name, *args = node.args
        if name == "log":
            base = args[1] if len(args) > 1 else num(10)
            return self._product(
                self.ratio(call("ln", args[0])), self._raised(self.ratio(call("ln", base)), -1)
            )
        if name == "ln" and args[0] == E:
            return _ONE, _ONE
        if name == "ln" and args[0].head == "num" and args[0].args[0] > 0:
            value = args[0].args[0]
            factors = [(p, n) for p, n in prime_powers(value.numerator)]
            factors += [(p, -n) for p, n in prime_powers(value.denominator)]
            return _kept(
                {frozenset({(call("ln", num(p)), Fraction(1))}): Fraction(n) for p, n in factors}
            ), _ONE
        if name == "binom":
            above = [args[0], args[1], canon(add(args[0], neg(args[1])))]
            tops = [self._factorial(a) for a in above]
            return self._product(tops[0], self._raised(self._product(tops[1], tops[2]), -1))
        if name == "factorial":
            return self._factorial(args[0])
        if name in _ANGLES and not (name in ("sin", "cos") and _is_turn(args[0])):
            return self._circular(name, args[0], IMAGINARY)
        if name in _HYPERBOLIC:
            return self._circular(_HYPERBOLIC[name], args[0], ONE)
        return self._term(node)

    def _factorial(self, of: Node) -> Ratio:
        """(n + 2)! as n! (n + 1) (n + 2); (n - 2)! as n! over n (n - 1)."""
        shift = next((a.args[0] for a in of.args if a.head == "num"), 0) if of.head == "add" else 0
        if of.head == "num" or not shift or shift.denominator > 1 or abs(shift) > _MOST_SHIFT:
            return self._term(canon(call("factorial", of)))
        rest = canon(add(of, num(-shift)))
        steps = range(1, int(shift) + 1) if shift > 0 else range(int(shift) + 1, 1)
        factors = reduce(self._product, (self.ratio(canon(add(rest, num(n)))) for n in steps))
        return self._product(self._term(call("factorial", rest)), factors if shift > 0 else factors[::-1])

    def _circular(self, name: str, angle: Node, i: Node) -> Ratio:
        """A sine or its like from e ** (i angle); with 1 for i, a hyperbolic sine."""
        if name in ("cot", "sec", "csc"):
            inverse = {"cot": "tan", "sec": "cos", "csc": "sin"}[name]
            return self._raised(self._circular(inverse, angle, i), -1)
        terms = angle.args if angle.head == "add" else (angle,)
        up, down = (
            self._exponential(E, canon(add(*(mul(sign, i, t) for t in terms)))) for sign in (ONE, num(-1))
        )
        sine = self._product(
            self._sum(up, self._product(down, self.ratio(num(-1)))), self._raised(self.ratio(i), -1)
        )
        cosine = self._sum(up, down)
        if name == "tan":
            return self._product(sine, self._raised(cosine, -1))
        return self._product(sine if name == "sin" else cosine, self.ratio(num(Fraction(1, 2))))

    def _term(self, atom: Node, exponent: Fraction = Fraction(1)) -> Ratio:
        """An atom to a rational power. A root of a number is reduced where more than one of it meet."""
        if not exponent:
            return _ONE, _ONE
        found = self._reduced({atom: abs(exponent)}, Fraction(1))
        return (found, _ONE) if exponent > 0 else (_ONE, found)

    def _sum(self, one: Ratio, other: Ratio) -> Ratio:
        (a, b), (c, d) = one, other
        if b == d:
            return _added(a, c), b
        return _added(self._times(a, d), self._times(c, b)), self._times(b, d)

    def _product(self, one: Ratio, other: Ratio) -> Ratio:
        return self._times(one[0], other[0]), self._times(one[1], other[1])

    def _raised(self, ratio: Ratio, exponent: int) -> Ratio:
        top, bottom = ratio if exponent >= 0 else ratio[::-1]
        if not bottom:
            raise ZeroDivisionError
        if abs(exponent) > 200:
            raise TooMuch("a large power")
        return self._power(top, abs(exponent)), self._power(bottom, abs(exponent))

    def _power(self, poly: Poly, times: int) -> Poly:
        found = _ONE
        for _ in range(times):
            found = self._times(found, poly)
        return found

    def _times(self, a: Poly, b: Poly) -> Poly:
        self.products -= len(a) * len(b) * _length(a) * _length(b)
        if self.products < 0:
            raise TooMuch("a long product")
        found: Poly = {}
        for left, x in a.items():
            for right, y in b.items():
                merged = dict(left)
                for atom, n in right:
                    merged[atom] = merged.get(atom, Fraction(0)) + n
                for monomial, factor in self._reduced(merged, x * y).items():
                    found[monomial] = found.get(monomial, Fraction(0)) + factor
        return _kept(found)

    def _reduced(self, monomial: dict[Node, Fraction], factor: Fraction) -> Poly:
        """A monomial, with powers of i and whole powers of numbers and sums worked out."""
        for atom, n in monomial.items():
            rule = self._rule(atom) if n >= 1 else None
            if rule and (times := int(n / rule[0])):
                rest = {**monomial, atom: n - times * rule[0]}
                return self._times(
                    self._reduced({a: m for a, m in rest.items() if m}, factor), self._power(rule[1], times)
                )
        return {frozenset(monomial.items()): factor}

    def _rule(self, atom: Node) -> tuple[int, Poly] | None:
        """The power from which an atom is something simpler than itself, and what that is."""
        if atom == IMAGINARY:
            return 2, {_UNIT: Fraction(-1)}
        if atom.head in ("num", "add", "mul") or atom.head == "pow" and atom.args[1].head == "num":
            top, bottom = self.ratio(atom)
            return (1, top) if bottom == _ONE else None
        return None


def _added(a: Poly, b: Poly) -> Poly:
    found = dict(a)
    for monomial, factor in b.items():
        found[monomial] = found.get(monomial, Fraction(0)) + factor
    return _kept(found)


def _kept(terms: Poly) -> Poly:
    found = {monomial: factor for monomial, factor in terms.items() if factor}
    if len(found) > MOST_TERMS:
        raise TooMuch("a polynomial of many terms")
    return found


def _length(poly: Poly) -> int:
    """How many times the longest number of a polynomial is a short one."""
    return 1 + max((_bits(n) for n in poly.values()), default=0) // _SHORT_BITS


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())

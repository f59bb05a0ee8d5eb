"""The canonical form of a tree: flat, sorted, like terms together, small exact numbers worked out.

Two trees with the same canonical form are equal; two with different ones need not be different.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import comb, factorial, floor, gcd, lcm

from curate.maths.radicals import numeric_power
from curate.maths.tree import BITS, INF, ONE, PI, ZERO, Node, TooMuch, add, call, children, mul, num, power


def canon(node: Node) -> Node:
    """The canonical tree; constants of measure (degrees, percent, ratios, bases) become plain numbers."""
    head, args = node
    if head in ("num", "sym", "const", "text"):
        return node
    if head == "based":
        return node.args[0]
    inner = [canon(a) for a in children(node)]
    if head == "add":
        return sum_of(inner)
    if head == "mul":
        return product_of(inner)
    if head == "pow":
        return power_of(*inner)
    if head == "pct":
        return product_of([num(Fraction(1, 100)), *inner])
    if head == "deg":
        return product_of([num(Fraction(1, 180)), PI, *inner])
    if head == "ratio":
        bottom = power_of(inner[1], num(-1))
        return product_of([inner[0], bottom]) if len(inner) == 2 else _scaled(inner)
    if head == "call":
        return _called(args[0], inner)
    if head in ("set", "list", "and", "or"):
        return Node(head, tuple(sorted(inner, key=order)))
    rest = iter(inner)
    return Node(head, tuple(next(rest) if isinstance(a, Node) else a for a in args))


def order(node: Node) -> tuple[str, str]:
    return node.head, repr(node.args)


def _scaled(terms: list[Node]) -> Node:
    """a:b:c with its first number 1."""
    by = power_of(terms[0], num(-1))
    return Node("ratio", tuple(product_of([t, by]) for t in terms))


def parts(node: Node) -> tuple[Fraction, Node]:
    """A canonical term as its rational coefficient and the rest."""
    if node.head == "num":
        return node.args[0], ONE
    if node.head == "mul" and node.args[0].head == "num":
        return node.args[0].args[0], mul(*node.args[1:])
    return Fraction(1), node


def sum_of(terms: Iterable[Node]) -> Node:
    """The sum of canonical terms."""
    found: dict[Node, Fraction] = {}
    for term in terms:
        for flat in term.args if term.head == "add" else (term,):
            coefficient, rest = parts(flat)
            found[rest] = found.get(rest, Fraction(0)) + coefficient
    kept = [_times(c, rest) for rest, c in found.items() if c or rest == INF]
    if len(kept) > 1:
        kept.sort(key=order)
    return add(*kept) if kept else ZERO


def _times(coefficient: Fraction, rest: Node) -> Node:
    if rest == ONE:
        return num(coefficient)
    if coefficient == 1:
        return rest
    return Node("mul", (num(coefficient), *(rest.args if rest.head == "mul" else (rest,))))


def product_of(factors: Iterable[Node]) -> Node:
    """The product of canonical factors: one coefficient, equal bases under one exponent."""
    coefficient = Fraction(1)
    bases: dict[Node, list[Node]] = {}
    todo = list(factors)
    while todo:
        factor = todo.pop()
        if factor.head == "mul":
            todo.extend(factor.args)
        elif factor.head == "num":
            coefficient *= factor.args[0]
        elif factor.head == "pow":
            bases.setdefault(factor.args[0], []).append(factor.args[1])
        else:
            bases.setdefault(factor, []).append(ONE)
    rest: list[Node] = []
    for base, exponents in bases.items():
        merged = power_of(base, sum_of(exponents))
        number, left = parts(merged)
        coefficient *= number
        if left != ONE:
            rest.extend(left.args if left.head == "mul" else (left,))
    if max(coefficient.numerator.bit_length(), coefficient.denominator.bit_length()) > BITS:
        raise TooMuch("a number of thousands of digits")
    if not coefficient:
        return ZERO
    if len({r.args[0] if r.head == "pow" else r for r in rest}) < len(rest):
        return product_of([num(coefficient), *rest])
    if len(rest) == 1 and rest[0].head == "add" and coefficient != 1:
        return sum_of([product_of([num(coefficient), t]) for t in rest[0].args])
    rest.sort(key=order)
    return _times(coefficient, mul(*rest)) if rest else num(coefficient)


def power_of(base: Node, exponent: Node) -> Node:
    """A canonical base to a canonical exponent."""
    if exponent.head != "num":
        return power(base, exponent)
    value = exponent.args[0]
    if value == 1:
        return base
    if base.head == "num":
        return numeric_power(base.args[0], value)
    if value == 0:
        return ONE
    whole = value.denominator == 1
    if base.head == "pow" and (whole or _positive(base.args[0])):
        return power_of(base.args[0], product_of([base.args[1], exponent]))
    if base.head == "mul" and whole:
        return product_of([power_of(f, exponent) for f in base.args])
    coefficient, rest = parts(base)
    if base.head == "mul" and coefficient > 0 and coefficient != 1:
        return product_of([numeric_power(coefficient, value), power(rest, exponent)])
    return power(base, exponent)


def _positive(node: Node) -> bool:
    return node.head == "num" and node.args[0] > 0 or node.head == "const" and node.args[0] in ("e", "pi")


_WHOLE = {"gcd": gcd, "lcm": lcm, "max": lambda *n: max(n), "min": lambda *n: min(n)}


def _called(name: str, args: list[Node]) -> Node:
    """A function of canonical arguments, worked out where that is exact and small."""
    first = args[0] if args else ZERO
    value = first.args[0] if first.head == "num" else None
    if name == "exp":
        return power_of(Node("const", ("e",)), first)
    if value is not None and name in ("abs", "floor", "ceil"):
        return num(abs(value) if name == "abs" else floor(value) if name == "floor" else -floor(-value))
    if name == "factorial" and value is not None and value.denominator == 1 and 0 <= value <= 1000:
        return num(factorial(int(value)))
    numbers = [int(a.args[0]) for a in args if a.head == "num" and a.args[0].denominator == 1]
    if name == "binom" and len(numbers) == 2 and 0 <= numbers[1] <= numbers[0] <= 2000:
        return num(comb(*numbers))
    if name in _WHOLE and numbers and len(numbers) == len(args):
        return num(_WHOLE[name](*numbers))
    if name == "ln" or name == "log" and len(args) == 1:
        return ZERO if value == 1 else call("ln" if name == "ln" else "log", first)
    return call(name, *args)

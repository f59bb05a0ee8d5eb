"""Trees compared exactly, as rational expressions modulo large primes at random points.

i is a square root of -1 modulo the prime. Whatever is not rational (a root, a sine, pi) counts as one more
unknown: then equal is still certain, and different is not.
"""

from __future__ import annotations

import hashlib

from curate.maths.tree import Node

PRIMES = (2305843009213693973, 1000000000000000009)  # both 1 modulo 4
_OPEN = frozenset({"pow", "call"})


class _Undefined(ArithmeticError):
    """A division by zero at this point."""


def equal_residues(a: Node, b: Node) -> bool | None:
    """Whether two canonical trees are equal; None where these points cannot tell."""
    for number, prime in enumerate(PRIMES):
        walk = _Walk(prime, number)
        try:
            same = walk.value(a) == walk.value(b)
        except _Undefined:
            return None
        if not same:
            return None if walk.opaque else False
    return True


class _Walk:
    """Values modulo one prime. `opaque` says whether anything but unknowns and pi stood for itself."""

    def __init__(self, prime: int, number: int) -> None:
        self.prime, self.number, self.opaque = prime, number, False
        self.root = _root_of_minus_one(prime)

    def value(self, node: Node) -> int:
        head, args = node
        if head == "num":
            bottom = args[0].denominator % self.prime
            if not bottom:
                raise _Undefined
            return args[0].numerator % self.prime * pow(bottom, -1, self.prime) % self.prime
        if head == "add":
            return sum(self.value(a) for a in args) % self.prime
        if head == "mul":
            found = 1
            for factor in args:
                found = found * self.value(factor) % self.prime
            return found
        if head == "pow" and args[1].head == "num" and args[1].args[0].denominator == 1:
            base, exponent = self.value(args[0]), args[1].args[0].numerator
            if not base and exponent <= 0:
                raise _Undefined
            return pow(base, exponent, self.prime)
        if node == ("const", ("i",)):
            return self.root
        self.opaque = self.opaque or head not in ("sym", "const") or args[0] == "inf"
        digest = hashlib.blake2b(f"{self.number}{node!r}".encode(), digest_size=16).digest()
        return int.from_bytes(digest, "big") % self.prime


def _root_of_minus_one(prime: int) -> int:
    for base in (2, 3, 5, 7, 11, 13):
        root = pow(base, (prime - 1) // 4, prime)
        if root * root % prime == prime - 1:
            return root
    raise AssertionError(f"{prime} is not 1 modulo 4")

"""Equations and inequalities, compared as they stand: up to a factor, with their sides swapped."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from curate.maths.canon import canon, product_of, sum_of
from curate.maths.probe import Undefined, values
from curate.maths.residue import equal_residues
from curate.maths.scalar import equal, is_scalar
from curate.maths.tree import Node, TooMuch, mul, num, symbols


def same_relation(a: Node, b: Node) -> bool | None:
    """Equations are equal up to a factor but zero; other relations up to a positive one, and turned."""
    if len(a.args) != 3 or len(b.args) != 3:
        forms = [_upwards(n) for n in (a, b)]
        return forms[0] == forms[1]
    sides = [_gap(n) for n in (a, b)]
    if sides[0] is None or sides[1] is None or sides[0][1] != sides[1][1]:
        return None if sides[0] is None or sides[1] is None else False
    sign, (x, y) = sides[0][1], (sides[0][0], sides[1][0])
    if symbols(x) != symbols(y):
        return False
    ratio = _ratio(x, y)
    if ratio is None:
        return equal(x, y) or (equal(x, canon(mul(num(-1), y))) if sign in ("=", "!=") else False)
    return ratio > 0 or sign in ("=", "!=")


def _gap(node: Node) -> tuple[Node, str] | None:
    """left - right and the sign, > turned into <."""
    left, sign, right = node.args
    if not is_scalar(left) or not is_scalar(right):
        return None
    if sign in (">", ">="):
        left, right, sign = right, left, sign.replace(">", "<")
    return sum_of([canon(left), canon(mul(num(-1), right))]), sign


def _ratio(x: Node, y: Node) -> Any:
    """The rational factor between two sides, found at a point and proved everywhere; None without one."""
    dice = random.Random("ratio")
    point = {n: Fraction(dice.randint(2, 99), 7) for n in sorted(symbols(x))}
    try:
        left, right, _ = values(x, y, point, 50, real=False)
    except (Undefined, TooMuch):
        return None
    if not right or not left or abs((left / right).imag) > 1e-30:
        return None
    factor = Fraction(str((left / right).real)).limit_denominator(10**6)
    if not factor:
        return None
    scaled = product_of([num(factor), y])
    return factor if equal_residues(x, scaled) or equal(x, scaled) else None


def _upwards(node: Node) -> tuple[Any, ...]:
    """A chain from small to large, its members canonical."""
    args = tuple(canon(a) if isinstance(a, Node) else a for a in node.args)
    if set(args[1::2]) <= {">", ">="}:
        args = tuple(a.replace(">", "<") if isinstance(a, str) else a for a in reversed(args))
    return args

"""Sets of real numbers as pieces of the line, however they are written: intervals, inequalities, builders."""

from __future__ import annotations

from typing import Any

from curate.maths.canon import canon, parts, product_of, sum_of
from curate.maths.pieces import ALL, LOW, Piece, complement, meet, piece, point
from curate.maths.tree import INF, Node, mul, num, symbols

_ENDS = {"()": (False, False), "[]": (True, True), "(]": (False, True), "[)": (True, False)}
_HALVES = {"R+": ">", "R_+": ">", "R-": "<", "R_-": "<"}
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


def region(node: Node) -> list[Piece] | None:
    """The pieces of a set of real numbers, or None where it is none."""
    head, args = node
    if head in _ENDS and len(args) == 2:
        return [piece(args[0], _ENDS[head][0], args[1], _ENDS[head][1])]
    if head == "set" and all(a.head not in _ENDS for a in args):
        return [point(a) for a in args]
    if node == ("const", ("R",)):
        return [ALL]
    if head == "const" and args[0] in _HALVES:
        return _half(_HALVES[args[0]], num(0))
    if head == "rel":
        return _relation(args)
    if head == "builder":
        return _builder(args)
    if head in ("union", "inter", "without"):
        return _combined(head, args)
    if head == "add" and len(args) == 2 and args[1].head == "mul" and len(args[1].args) == 2:
        return _combined("without", (args[0], args[1].args[1]))
    if head in ("and", "or", "list"):
        return _joined(head, args)
    return None


def unknown(relation: Node) -> str:
    """The letter that a chain of relations is about, in lower case; empty where it is not just one letter."""
    names = symbols(relation)
    sides = [n for n in relation.args[::2] if n.head == "sym"]
    return sides[0].args[0].casefold() if len(sides) == len(names) == 1 else ""


def is_region(node: Node) -> bool:
    """Whether a node can only mean a set of numbers (a pair in round or square brackets may be a point)."""
    head, args = node
    if head in ("(]", "[)", "union", "inter", "builder", "without") or node == ("const", ("R",)):
        return True
    if head == "const" and args[0] in _HALVES:
        return True
    if head == "rel":
        return any(
            sign in ("<", ">", "<=", ">=", "!=") or sign == "in" and region(args[2]) for sign in args[1::2]
        )
    if head in ("and", "or", "list"):
        return bool(args) and all(is_region(a) for a in args)
    return head == "add" and any(a.head in ("set", *_ENDS) or a == ("const", ("R",)) for a in args)


def _relation(args: tuple[Any, ...]) -> list[Piece] | None:
    if args[1] in ("in", "notin") and len(args) == 3:
        inner = region(args[2])
        return inner if inner is None or args[1] == "in" else complement(inner)
    found: list[Piece] | None = [ALL]
    for left, sign, right in zip(args[::2], args[1::2], args[2::2], strict=False):
        if sign not in _FLIP:
            return None
        one = _inequality(left, sign, right)
        found = meet(found, one) if found is not None and one is not None else None
    return found


def _inequality(left: Node, sign: str, right: Node) -> list[Piece] | None:
    """One relation of one unknown, solved where it is linear, or the absolute value of something linear."""
    for one, other, way in ((left, right, sign), (right, left, _FLIP[sign])):
        if one.head == "call" and one.args[0] == "abs" and not symbols(other):
            inside = Node("rel", (Node("mul", (num(-1), other)), way, one.args[1], way, other))
            if way in ("<", "<="):
                return _relation(inside.args)
            outer = [
                Node("rel", (one.args[1], way, other)),
                Node("rel", (one.args[1], _FLIP[way], canon(mul(num(-1), other)))),
            ]
            return _joined("or" if way != "!=" else "and", tuple(outer))
    if left.head == "sym" and right.head == "const":
        return _half(_FLIP[_FLIP[sign]], canon(right))
    gap = sum_of([canon(left), canon(mul(num(-1), right))])
    linear = _linear(gap, symbols(left) | symbols(right), left, right)
    if linear is None:
        return None
    slope, rest = linear
    border = product_of([num(-1 / slope), rest])
    return _half(sign if slope > 0 else _FLIP[sign], border)


def _linear(gap: Node, names: frozenset[str], left: Node, right: Node) -> tuple[Any, Node] | None:
    """Slope and rest of k x + m, where x is the only unknown, or stands alone on one side."""
    alone = [side.args[0] for side in (left, right) if side.head == "sym"]
    name = next(iter(names)) if len(names) == 1 else alone[0] if alone else None
    terms = gap.args if gap.head == "add" else (gap,)
    of = [t for t in terms if name in symbols(t)]
    if name is None or len(of) != 1:
        return None
    slope, rest = parts(of[0])
    return (slope, sum_of([t for t in terms if t is not of[0]])) if rest == ("sym", (name,)) else None


def _half(sign: str, border: Node) -> list[Piece]:
    if sign in ("<", "<="):
        return [piece(LOW, False, border, sign == "<=")]
    if sign in (">", ">="):
        return [piece(border, sign == ">=", INF, False)]
    return (
        [point(border)]
        if sign == "="
        else [piece(LOW, False, border, False), piece(border, False, INF, False)]
    )


def _builder(args: tuple[Any, ...]) -> list[Piece] | None:
    variable = args[0].args[0] if args[0].head == "rel" and args[0].args[1] == "in" else args[0]
    if variable.head != "sym" or not any(variable.args[0] in symbols(c) for c in args[1:]):
        return None
    found = region(args[0].args[2]) if variable is not args[0] else [ALL]
    for condition in args[1:]:
        one = region(condition)
        found = meet(found, one) if found is not None and one is not None else None
    return found


def _combined(head: str, args: tuple[Any, ...]) -> list[Piece] | None:
    left, right = region(args[0]), region(args[1])
    if left is None or right is None:
        return None
    if head == "union":
        return [*left, *right]
    return meet(left, right if head == "inter" else complement(right))


def _joined(head: str, args: tuple[Any, ...]) -> list[Piece] | None:
    """Relations joined by and, or, or a comma: that is "and" where both can hold, else "or"."""
    found = [region(a) for a in args]
    names = {symbols(a) for a in args if a.head == "rel"} - {frozenset()}
    if len(names) > 1 or any(f is None for f in found):
        return None
    pieces = [p for f in found if f is not None for p in f]
    if head == "or" or not all(a.head == "rel" for a in args):
        return pieces
    met: list[Piece] | None = [ALL]
    for f in found:
        met = meet(met, f) if met is not None and f is not None else None
    return met or (pieces if head == "list" else [])

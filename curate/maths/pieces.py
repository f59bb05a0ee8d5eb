"""Sets of real numbers as pieces of the line: met, joined, complemented, compared."""

from __future__ import annotations

from functools import cmp_to_key
from typing import NamedTuple

from curate.maths.canon import canon
from curate.maths.scalar import equal
from curate.maths.tree import INF, Node, TooMuch, num, symbols

LOW = Node("mul", (num(-1), INF))


class Piece(NamedTuple):
    """From low to high, each end within or not."""

    low: Node
    low_in: bool
    high: Node
    high_in: bool


ALL = Piece(LOW, False, INF, False)


def piece(low: Node, low_in: bool, high: Node, high_in: bool) -> Piece:
    low, high = canon(low), canon(high)
    return Piece(low, low_in, high, high_in)


def point(value: Node) -> Piece:
    return piece(value, True, value, True)


def complement(pieces: list[Piece]) -> list[Piece] | None:
    found: list[Piece] | None = [ALL]
    for p in pieces:
        outer = [piece(LOW, False, p.low, not p.low_in), piece(p.high, not p.high_in, INF, False)]
        found = meet(found, [o for o in outer if o.low != INF and o.high != LOW])
    return found


def meet(left: list[Piece] | None, right: list[Piece] | None) -> list[Piece] | None:
    """What lies in both; None where ends with unknowns cannot be put in order."""
    if left is None or right is None or len(left) * len(right) > 400:
        return None
    found = []
    for a in left:
        for b in right:
            low, high = compare(a.low, b.low), compare(a.high, b.high)
            if low is None or high is None:
                return None
            first = (a.low, a.low_in) if low > 0 or low == 0 and not a.low_in else (b.low, b.low_in)
            last = (a.high, a.high_in) if high < 0 or high == 0 and not a.high_in else (b.high, b.high_in)
            way = compare(first[0], last[0])
            if way is None:
                return None
            if way < 0 or way == 0 and first[1] and last[1]:
                found.append(Piece(first[0], first[1], last[0], last[1]))
    return found


def compare(a: Node, b: Node) -> int | None:
    """-1, 0 or 1 as a is less than, equal to or more than b; None where that is not known."""
    if a == b:
        return 0
    if a == LOW or b == INF:
        return -1
    if a == INF or b == LOW:
        return 1
    if symbols(a) or symbols(b):
        return 0 if equal(a, b) else None
    from curate.maths.probe import Undefined, values

    try:
        left, right, _ = values(a, b, {}, 40, real=True)
    except (Undefined, TooMuch):
        return None
    if abs(left - right) <= 1e-30 * max(abs(left), abs(right), 1):
        return 0
    return -1 if left < right else 1


def _earlier(a: Piece, b: Piece) -> int:
    return compare(a.low, b.low) or b.low_in - a.low_in


def merged(pieces: list[Piece]) -> list[Piece]:
    """In order, what touches joined; as they are where their ends cannot be put in order."""
    if any(compare(p.low, q.low) is None or compare(p.high, q.low) is None for p in pieces for q in pieces):
        return pieces
    found: list[Piece] = []
    for p in sorted(pieces, key=cmp_to_key(_earlier)):
        way = compare(p.low, found[-1].high) if found else 1
        if way is None or way > 0 or way == 0 and not (p.low_in or found[-1].high_in):
            found.append(p)
            continue
        last = found[-1]
        more = compare(p.high, last.high) or 0
        high = (p.high, p.high_in) if more > 0 else (last.high, last.high_in or more == 0 and p.high_in)
        found[-1] = Piece(last.low, last.low_in, *high)
    return found


def same_region(left: list[Piece], right: list[Piece]) -> bool | None:
    """Whether two sets of pieces are one set of numbers."""
    if len(left) > 40 or len(right) > 40:
        raise TooMuch("a set of too many pieces")
    ours, theirs = merged(left), merged(right)
    if len(ours) != len(theirs):
        return False
    left_over = list(theirs)
    for p in ours:
        match = next((q for q in left_over if _same_piece(p, q)), None)
        if match is None:
            return False
        left_over.remove(match)
    return True


def _same_piece(p: Piece, q: Piece) -> bool:
    flags = (p.low_in, p.high_in) == (q.low_in, q.high_in)
    return flags and equal(p.low, q.low) is True and equal(p.high, q.high) is True

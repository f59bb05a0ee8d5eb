"""Brackets of every kind: groups, tuples, intervals, sets with conditions, bars, and matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.maths.names import CLAUSES
from curate.maths.tree import Node, Unreadable, add, call, mul, num

if TYPE_CHECKING:
    from curate.maths.expression import Parser

_CLOSE = {"(": (")", "]"), "[": ("]", ")"), "]": ("[", "]")}


def items(p: Parser, *stops: str) -> list[Node]:
    """What stands between commas or semicolons, up to a closing sign, which is left."""
    found: list[Node] = []
    while p.peek().kind != "end" and p.peek().text not in stops:
        if p.eat(",", ";") or p.peek().kind == "sep" and p.take():
            continue
        before = p.at
        found.append(p.part(p))
        if p.at == before:
            raise Unreadable(f"{p.peek().text!r} in a list")
    return found


def bracket(p: Parser, opened: str) -> Node:
    """A group, a tuple or an interval: (x), (1, 2), [0, 1), ]0, 1[."""
    closers = _CLOSE[opened]
    with p.inside():
        found = items(p, *closers) if opened != "]" else items(p, "[", "]")
    closed = p.peek().text
    p.close(*closers)
    if opened == "]":
        opened, closed = "(", ")" if closed == "[" else "]"
    closed = closed or (")" if opened == "(" else "]")
    if len(found) == 1 and (opened, closed) in (("(", ")"), ("[", "]")):
        return found[0]
    return Node(opened + closed, tuple(found))


def braces(p: Parser) -> Node:
    """A LaTeX group, or a set that nobody escaped: {1, 2}."""
    with p.inside():
        if p.eat("}"):
            return Node("set")
        first = p.part(p)
        if p.sees("choose"):
            p.at += 1
            first = call("binom", first, p.sum())
        if not p.sees(",", ";", "mid", ":", "|"):
            p.close("}")
            return first
    return _set(p, first, "}")


def set_of(p: Parser, closer: str) -> Node:
    with p.inside(inset=True):
        if p.peek().text == closer:
            p.at += 1
            return Node("set")
        first = p.part(p)
    return _set(p, first, closer)


def _set(p: Parser, first: Node, closer: str) -> Node:
    if p.eat("mid", ":", "|", "vert", "colon"):
        with p.inside():
            node = Node("builder", (first, *items(p, closer)))
    else:
        with p.inside(inset=True):
            node = Node("set", (first, *items(p, closer)))
    p.close(closer)
    return node


def absolute(p: Parser, closer: str) -> Node:
    """An absolute value, a floor or a ceiling."""
    with p.inside(bars=1):
        inner = p.sum()
    p.close(closer, "rvert", "rVert", "|", "||")
    if inner.head == "rows" and inner.args:
        return determinant(inner)
    name = {"rfloor": "floor", "rceil": "ceil"}.get(closer, "abs")
    return call(name, inner)


def angle(p: Parser) -> Node:
    with p.inside():
        found = items(p, "rangle")
    p.close("rangle")
    return Node("<>", tuple(found))


_MATRICES = frozenset(
    {"pmatrix", "bmatrix", "matrix", "array", "vmatrix", "smallmatrix", "Bmatrix", "Vmatrix"}
)


def environment(p: Parser) -> Node:
    r"""\begin{pmatrix} … \end{pmatrix} as rows; the lines of other environments as a list."""
    name = _name(p)
    if name in ("array", "tabular") and p.sees("{"):
        _name(p)
    if name.rstrip("*") not in _MATRICES and "case" not in name:
        p.tokens[p.at :] = [t for t in p.tokens[p.at :] if t.text != "&"]
    rows: list[list[Node]] = [[]]
    with p.inside():
        while p.peek().kind != "end" and p.peek().text != "end":
            if p.eat("\\\\"):
                rows.append([])
            elif p.peek().kind == "word" and p.peek().text.lower() in CLAUSES:
                p.at += 1
            elif not p.eat("&", ",", ";", "."):
                before = p.at
                rows[-1].append(p.part(p))
                if p.at == before:
                    raise Unreadable(f"{p.peek().text!r} in a matrix")
    if p.take().kind != "end":
        _name(p)
    full = tuple(Node("row", tuple(row)) for row in rows if row)
    if not full:
        raise Unreadable("nothing is in it")
    if name.rstrip("*") not in _MATRICES:
        return Node("list", tuple(row[0] if len(row) == 1 else Node("<>", tuple(row)) for row in rows if row))
    return determinant(Node("rows", full)) if name == "vmatrix" else Node("rows", full)


def determinant(matrix: Node) -> Node:
    """The determinant of up to four rows, written out; of others a name for it."""
    rows = [row.args for row in matrix.args]
    if len(rows) > 4 or any(len(row) != len(rows) for row in rows):
        return call("det", matrix)
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for n, entry in enumerate(rows[0]):
        minor = Node("rows", tuple(Node("row", (*row[:n], *row[n + 1 :])) for row in rows[1:]))
        terms.append(mul(num((-1) ** n), entry, determinant(minor)))
    return add(*terms)


def _name(p: Parser) -> str:
    if not p.eat("{"):
        raise Unreadable("an environment without a name")
    said = []
    while p.peek().kind != "end" and p.peek().text != "}":
        said.append(p.take().text)
    p.close("}")
    return "".join(said)

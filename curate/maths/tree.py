"""The tree that an answer is read into, and the limits that keep every walk over it short.

A node is a head and its arguments: `num` holds a Fraction, `sym` a name, `const` one of pi, e, i, inf; `add`,
`mul`, `pow` and `call` hold nodes. An answer may also be a shape: `list`, `and`, `or` and `set` (unordered),
`()`, `[]`, `(]`, `[)` and `<>` (ordered), `rows` (a matrix), `rel` (a chain of relations, nodes and signs by
turns), `union`, `inter`, `without`, `builder`, `qty` (a value and its unit), `pm` (plus or minus), `text`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

LONGEST = 4000  # characters of an answer that are read
DEEPEST = 40  # brackets in brackets
BIGGEST = 3000  # tokens
BITS = 14_000  # of an exact number


class Unreadable(ValueError):
    """The text is not mathematics that we can read."""


class TooMuch(ValueError):
    """An answer past a limit: too long, too deep, or a number too big to write down."""


class Node(NamedTuple):
    head: str
    args: tuple[Any, ...] = ()


SEQUENCES = frozenset({"()", "[]", "(]", "[)", "<>"})
MANY = frozenset({"list", "and", "or", "set"})


def num(value: Fraction | int) -> Node:
    return Node("num", (Fraction(value),))


def sym(name: str) -> Node:
    return Node("sym", (name,))


def const(name: str) -> Node:
    return Node("const", (name,))


def call(name: str, *args: Node) -> Node:
    return Node("call", (name, *args))


ZERO, ONE, MINUS = num(0), num(1), num(-1)
PI, E, INF = const("pi"), const("e"), const("inf")
IMAGINARY = const("i")


def add(*args: Node) -> Node:
    return args[0] if len(args) == 1 else Node("add", args)


def mul(*args: Node) -> Node:
    return args[0] if len(args) == 1 else Node("mul", args)


def power(base: Node, exponent: Node) -> Node:
    return Node("pow", (base, exponent))


def neg(node: Node) -> Node:
    return num(-node.args[0]) if node.head == "num" else Node("mul", (MINUS, node))


def over(top: Node, bottom: Node) -> Node:
    if top.head == bottom.head == "num" and bottom.args[0]:
        return num(top.args[0] / bottom.args[0])
    return Node("mul", (top, power(bottom, MINUS)))


def children(node: Node) -> Iterator[Node]:
    """The arguments that are nodes themselves."""
    for arg in node.args:
        if isinstance(arg, Node):
            yield arg


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, without recursion."""
    todo = [node]
    while todo:
        here = todo.pop()
        yield here
        todo.extend(children(here))


def symbols(node: Node) -> frozenset[str]:
    return frozenset(n.args[0] for n in walk(node) if n.head == "sym")


def swap(node: Node, names: dict[Node, Node]) -> Node:
    """The tree with some of its nodes exchanged for others."""
    if node in names:
        return names[node]
    return Node(node.head, tuple(swap(a, names) if isinstance(a, Node) else a for a in node.args))

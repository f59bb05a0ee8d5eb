"""An answer as read becomes the answer as meant: ± spelled out, names and side conditions set apart."""

from __future__ import annotations

from curate.maths.canon import canon
from curate.maths.tree import (
    IMAGINARY,
    MANY,
    Node,
    TooMuch,
    children,
    mul,
    neg,
    num,
    swap,
    sym,
    symbols,
    walk,
)

_SPACES = frozenset("R Z N Q C".split())
_BASIS = (sym("vec i"), sym("vec j"), sym("vec k"))
_NAMES = frozenset({"sym", "text"})


def settle(node: Node) -> Node:
    """The answer without what only surrounds it.

    `x = 5` becomes a `def` of a name and a value; `n pi, n in Z` is n pi; `1 ± 2` is the list 1 + 2, 1 - 2.
    """
    if node.head in MANY:
        items = [s for item in node.args for s in _spread(settle(item), node.head)]
        values = [i for i in items if not _is_condition(i)]
        items = values or items
        if len(items) == 1 and node.head != "set":
            return items[0]
        return Node(node.head, tuple(items))
    if node.head == "rel":
        return _relation(node)
    if node.head in ("()", "[]", "(]", "[)", "<>", "row", "rows", "union", "inter", "without"):
        return Node(node.head, tuple(settle(a) for a in node.args))
    if node.head == "mul" and [a.head for a in node.args].count("rows") == 1:
        return _scaled(node)
    if any(n in _BASIS for n in walk(node)):
        return _vector(node)
    if any(n.head in ("pm", "mp") for n in walk(node)) and node.head != "builder":
        return Node("list", (signed(node, 1), signed(node, -1)))
    return node


def _scaled(node: Node) -> Node:
    """A number times a matrix as the matrix of products."""
    at = [a.head for a in node.args].index("rows")
    factor = Node("mul", node.args[:at] + node.args[at + 1 :])
    if any(n.head in ("rows", "()", "<>", "[]", "call") or n in _BASIS for n in walk(factor)):
        return node
    rows = (Node("row", tuple(mul(factor, settle(n)) for n in row.args)) for row in node.args[at].args)
    return Node("rows", tuple(rows))


def _vector(node: Node) -> Node:
    """2i + 3j of unit vectors as (2, 3); a bold i that is no vector is the imaginary unit."""
    ends = [canon(swap(node, {b: num(int(b == axis)) for b in _BASIS})) for axis in (None, *_BASIS)]
    if ends[0] != num(0):
        return swap(node, dict(zip(_BASIS, (IMAGINARY, sym("j"), sym("k")), strict=True)))
    return Node("<>", tuple(ends[1:] if any(n == _BASIS[2] for n in walk(node)) else ends[1:3]))


def _spread(item: Node, head: str) -> tuple[Node, ...]:
    """Lists in a list are one list; a `def` of several values is a `def` each."""
    if item.head == "list" or item.head == head != "set":
        return item.args
    return (item,)


def _is_condition(node: Node) -> bool:
    """n in Z: where an unknown of the answer comes from, beside the answer itself."""
    if node.head != "rel" or len(node.args) < 3 or node.args[1] != "in":
        return False
    last = node.args[-1]
    return last.head in ("const", "sym") and str(last.args[0])[:1] in _SPACES


def signed(node: Node, sign: int) -> Node:
    """The tree with every ± read as +, or as -; ∓ the other way round."""
    if node.head in ("pm", "mp"):
        inner = signed(node.args[0], sign)
        return inner if sign == (1 if node.head == "pm" else -1) else neg(inner)
    return Node(node.head, tuple(signed(a, sign) if isinstance(a, Node) else a for a in node.args))


def _relation(node: Node) -> Node:
    args = node.args
    signs = args[1::2]
    if "~" in signs and set(signs) <= {"=", "~"}:
        cut = signs.index("~") * 2 + 1
        named = cut == 1 and _is_name(args[0])
        args = (args[0], "=", args[2]) if named else args[:cut]
        signs = args[1::2]
    if len(args) == 1:
        return settle(args[0])
    if signs == ("in",) and args[2].head in ("set", "list") and _is_name(args[0]):
        return settle(args[2])
    if set(signs) != {"="}:
        return Node("rel", args)
    left, right = args[0], args[-1]
    if left.head == right.head == "()" and len(left.args) == len(right.args) and len(args) == 3:
        if all(_is_name(a) or a.head == "mul" and len(a.args) == 2 for a in left.args):
            return Node("def", (left, settle(right)))
    if not _is_name(left) and _is_name(right) and len(args) == 3:
        left, right = right, left
    if len(args) > 3 and all(n.head == "sym" for n in args[:-1:2]) and not symbols(right):
        return Node("list", tuple(Node("def", (n, settle(right))) for n in args[:-1:2]))
    if _is_name(left):
        return Node("def", (left, settle(right)))
    if len(args) > 3:
        return settle(right)
    return Node("rel", (left, "=", right))


def _is_name(node: Node) -> bool:
    """Whether a left side only names: x, f(x), ABC, area, dy/dx's y'."""
    if node.head in _NAMES or node in (("const", ("e",)), ("const", ("i",))):
        return True
    if node.head == "call":
        return node.args[0] in ("app", "prime", "overline")
    if node.head == "mul" and len(node.args) <= 6:
        return all(a.head == "sym" and a.args[0][:1].isupper() for a in node.args)
    return node.head in ("pow",) and _is_name(node.args[0]) and node.args[0].head == "text"


def depth(node: Node) -> int:
    """How many nodes stand in one another; without recursion."""
    deepest, todo = 0, [(node, 1)]
    while todo:
        here, level = todo.pop()
        deepest = max(deepest, level)
        todo.extend((child, level + 1) for child in children(here))
    if deepest > 300:
        raise TooMuch(f"an answer {deepest} levels deep")
    return deepest

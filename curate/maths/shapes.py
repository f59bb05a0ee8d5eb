"""Two answers of any shape, compared: lists in any order, tuples in theirs, regions as sets of numbers."""

from __future__ import annotations

from typing import Any

from curate.maths.canon import canon
from curate.maths.pieces import same_region
from curate.maths.quantity import measured, nouns
from curate.maths.regions import is_region, region, unknown
from curate.maths.relations import same_relation
from curate.maths.scalar import is_scalar, same_modulo, same_value
from curate.maths.settle import settle
from curate.maths.tree import MANY, SEQUENCES, Node, TooMuch, swap, symbols, walk
from curate.maths.words import same_words

_MOST = 60  # items that are compared each with each


def same(a: Node, b: Node, policy: Any) -> bool | None:
    """Whether two answers are equal; None where nobody can tell."""
    return _same(settle(a), settle(b), policy)


def _same(a: Node, b: Node, policy: Any) -> bool | None:
    if a == b:
        return True
    for left, right in ((a, b), (b, a)):
        if left.head == "text":
            return same_words(left.args[0], right)
        if left.head == "def":
            return _definition(left, right, policy)
    if a.head == b.head == "rel" and same_relation(a, b):
        return True
    if is_region(a) or is_region(b):
        found = _regions(a, b)
        if found is not None:
            return found
        if is_region(a) != is_region(b) and (is_scalar(a) or is_scalar(b)):
            return False
    if a.head == b.head == "rel":
        return same_relation(a, b)
    for left, right in ((a, b), (b, a)):
        if left.head == "rel":
            return _relation_and_value(left, right, policy)
    return _shapes(a, b, policy)


def _shapes(a: Node, b: Node, policy: Any) -> bool | None:
    heads = {a.head, b.head}
    if a.head in MANY and b.head in MANY:
        return _unordered(a, b, policy)
    if a.head in MANY or b.head in MANY:
        many, other = (a, b) if a.head in MANY else (b, a)
        return _many_and_other(many, other, policy)
    if heads == {"rows"} and [len(r.args) for r in a.args] != [len(r.args) for r in b.args]:
        return False
    if "rows" in heads:
        return _in_order(_entries(a), _entries(b), policy)
    if a.head in SEQUENCES and b.head in SEQUENCES:
        if heads == {"()", "[]"} and len(a.args) == len(b.args) == 2:
            return False
        if heads & {"(]", "[)"} and len(heads) > 1:
            return False
        return _in_order(a.args, b.args, policy)
    if heads & SEQUENCES:
        return False
    if "mod" in heads:
        return same_modulo(a, b, policy)
    if not is_scalar(a) or not is_scalar(b):
        return True if canon(a) == canon(b) else None
    return same_value(a, b, policy)


def _entries(node: Node) -> tuple[Any, ...]:
    """A matrix as its rows, a column (or a row) as its entries; a tuple as it is."""
    if node.head == "rows":
        if all(len(row.args) == 1 for row in node.args):
            return tuple(row.args[0] for row in node.args)
        if len(node.args) == 1:
            return (Node("row"), *node.args[0].args) if len(node.args[0].args) > 1 else node.args[0].args
        return tuple(Node("<>", row.args) for row in node.args)
    return node.args if node.head in SEQUENCES else (node,)


def _in_order(a: tuple[Any, ...], b: tuple[Any, ...], policy: Any) -> bool | None:
    if a[:1] == (Node("row"),) != b[:1] or b[:1] == (Node("row"),) != a[:1]:
        a, b = (t[1:] if t[:1] == (Node("row"),) else t for t in (a, b))
        if all(n.head not in SEQUENCES for n in (*a, *b)) and len(a) != len(b):
            return False
    if len(a) != len(b):
        return False
    found: bool | None = True
    for left, right in zip(a, b, strict=True):
        one = _same(left, right, policy)
        if one is False:
            return False
        found = found if one else None
    return found


def _unordered(a: Node, b: Node, policy: Any) -> bool | None:
    left, right = list(a.args), list(b.args)
    if all(n.head == "def" for n in (*left, *right)):
        bases = [{repr(n.args[0]).partition("_")[0].rstrip("',()") for n in side} for side in (left, right)]
        if len(bases[0]) == len(bases[1]) == 1 and bases[0] == bases[1]:
            left, right = ([n.args[1] for n in side] for side in (left, right))
    elif all(n.head == "def" for n in left) != all(n.head == "def" for n in right):
        named = _named_and_bare(left, right, policy)
        if named is not None:
            return named
    counts = nouns(left), nouns(right)
    if counts[0] and counts[0].keys() == counts[1].keys():  # 3 boys and 4 girls
        return _in_order(tuple(counts[0].values()), tuple(counts[1][noun] for noun in counts[0]), policy)
    if "set" in (a.head, b.head):
        left, right = _distinct(left), _distinct(right)
    if len(left) != len(right):
        return False
    keys = {canon(n): n for n in right}
    rest = []
    for item in left:
        twin = keys.get(canon(item))
        if twin is not None and twin in right:
            right.remove(twin)
        else:
            rest.append(item)
    return _paired(rest, right, policy)


def _distinct(items: list[Node]) -> list[Node]:
    return list({canon(i): i for i in items}.values())


def _paired(left: list[Node], right: list[Node], policy: Any) -> bool | None:
    """Each with one of the others: equality is transitive, so the first that fits will do."""
    if len(left) > _MOST:
        raise TooMuch(f"{len(left)} answers to compare in any order")
    unsure = False
    for item in left:
        for other in right:
            nested = "set" in (item.head, other.head) and item.head != other.head
            found = False if nested else _same(item, other, policy)
            unsure = unsure or found is None
            if found:
                right.remove(other)
                break
        else:
            return None if unsure else False
    return True


def _named_and_bare(left: list[Node], right: list[Node], policy: Any) -> bool | None:
    """x=1, y=2 beside 1, 2: in their order, or in that of the names; x_1 and x_2 are roots in any order."""
    named, bare = (left, right) if left and left[0].head == "def" else (right, left)
    if not all(n.head == "def" for n in named) or any(n.head in ("def", "rel") for n in bare):
        return None
    if policy.assignment != "equal":
        return False
    names = [repr(n.args[0]).split("_")[0] for n in named]
    if len(set(names)) == 1:
        return _unordered(Node("list", tuple(n.args[1] for n in named)), Node("list", tuple(bare)), policy)
    by_name = [n for _, n in sorted(zip(names, named, strict=True), key=lambda pair: pair[0])]
    found = [_in_order(tuple(n.args[1] for n in way), tuple(bare), policy) for way in (named, by_name)]
    return True if True in found else None if None in found else False


def _many_and_other(many: Node, other: Node, policy: Any) -> bool | None:
    items = list(many.args)
    if all(n.head == "qty" for n in items) and len({measured(n)[1:4] for n in items}) > 1:
        return same_value(Node("add", many.args), other, policy) if is_scalar(other) else False
    if all(n.head == "def" for n in items) and len({canon(n.args[1]) for n in items}) == 1:
        if is_scalar(other) and policy.assignment == "equal":  # S = AB = 5 beside 5
            return _same(items[0].args[1], other, policy)
    if len(items) == 1 and many.head == "set":
        return _same(items[0], other, policy)
    if many.head == "or" and all(is_scalar(n) and _same(n, other, policy) for n in (*items, other)):
        return True  # 7/8, or 87.5%
    if other.head in SEQUENCES and many.head != "set" and len(other.args) == len(items):
        if all(n.head == "def" for n in items):
            return _named_and_bare(items, list(other.args), policy)
        return _in_order(many.args, other.args, policy) if other.head in ("()", "[]", "<>") else False
    if other.head == "rel" and set(other.args[1::2]) <= {"<"} and many.head != "set":
        return _in_order(many.args, other.args[::2], policy)
    return False


def _definition(a: Node, b: Node, policy: Any) -> bool | None:
    """`name = value` beside another, a value, or a list of them."""
    name, value = a.args
    if b.head == "def":
        return _definitions(a, b, policy)
    if b.head in MANY and name.head == "()" and value.head in SEQUENCES:
        split = [Node("def", (n, v)) for n, v in zip(name.args, value.args, strict=False)]
        return _same(Node("list", tuple(split)), b, policy)
    if b.head == "rel" and is_region(b) is False or b.head == "rel" and "=" in b.args:
        equation = Node("rel", (name, "=", value))
        return same_relation(equation, b) if is_scalar(name) and is_scalar(value) else False
    if b.head in MANY and value.head not in MANY and b.head != "set" and len(b.args) != 1:
        return _same(value, b, policy) if value.head in SEQUENCES else False
    return _same(value, b, policy) if policy.assignment == "equal" else False


def _definitions(a: Node, b: Node, policy: Any) -> bool | None:
    (left, x), (right, y) = a.args, b.args
    if canon(left) == canon(right) or "text" in (left.head, right.head):
        return _same(x, y, policy)
    if left.head == right.head == "call" and left.args[0] == right.args[0] == "app":
        if left.args[1] != right.args[1] or left.args[2].head != "sym" or right.args[2].head != "sym":
            return False
        if left.args[2] != right.args[2] and (left.args[2] in walk(y) or right.args[2] in walk(x)):
            return False
        return _same(x, swap(y, {right.args[2]: left.args[2]}), policy)
    if "call" in (left.head, right.head):
        return _same(x, y, policy)
    if left.head == right.head == "()":
        return _tuples(a, b, policy)
    names = symbols(left) | symbols(right)
    if len(names) == 2 and repr(left).casefold() == repr(right).casefold():
        return _same(x, y, policy)
    if is_scalar(x) and is_scalar(y):
        return same_relation(Node("rel", (left, "=", x)), Node("rel", (right, "=", y)))
    return False


def _tuples(a: Node, b: Node, policy: Any) -> bool | None:
    """(a, b) = (1, 2) beside (b, a) = (2, 1): by name where the names are the same, else in order."""
    (left, x), (right, y) = a.args, b.args
    same_names = set(left.args) == set(right.args)
    if not same_names or len({len(t.args) for t in (left, right, x, y)}) > 1:
        return _same(x, y, policy)
    values = dict(zip(right.args, y.args, strict=True))
    return _in_order(x.args, tuple(values[n] for n in left.args), policy)


def _relation_and_value(a: Node, b: Node, policy: Any) -> bool | None:
    """x + y = 5 beside 5: the value of its right side; an inequality beside a value is no answer."""
    if len(a.args) == 3 and a.args[1] == "=" and policy.assignment == "equal" and not symbols(a.args[2]):
        return _same(settle(a.args[2]), b, policy) if symbols(a.args[0]) or is_scalar(a.args[0]) else False
    if b.head in MANY:
        return _many_and_other(b, a, policy)
    return False


def _regions(a: Node, b: Node) -> bool | None:
    left, right = region(a), region(b)
    if a.head == b.head == "rel" and len({unknown(a), unknown(b), ""}) > 2:  # a > 0 beside b > 0
        return False
    return None if left is None or right is None else same_region(left, right)

"""A whole answer: lists, relations, conditions and units around expressions."""

from __future__ import annotations

import re
from functools import lru_cache

from curate.maths.expression import Parser, at_end
from curate.maths.names import CLAUSES, NOISE
from curate.maths.tokens import tokens
from curate.maths.tree import Node, Unreadable, call, sym

_RELATIONS = {
    "=": "=", "<": "<", ">": ">", "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "lt": "<",
    "gt": ">", "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "ne": "!=", "neq": "!=", "approx": "~",
    "simeq": "~", "thickapprox": "~", "doteq": "~", "sim": "~", "in": "in", "notin": "notin", "equiv": "=",
    "cong": "=", "to": "to", "rightarrow": "to", "longrightarrow": "to", "implies": "to", "Rightarrow": "to",
    "iff": "to", "mapsto": "to", "subset": "sub", "subseteq": "sub", "parallel": "||", "perp": "_|_",
    "propto": "prop",
}  # fmt: skip
_SETS = {"cup": "union", "bigcup": "union", "cap": "inter", "setminus": "without", "backslash": "without"}
_UNIT_SIGNS = frozenset("^/{}*-_()")
_POWER = re.compile(r"(?<=[\w)\]])\*\*(?=[\w(\-])")
_BASE = re.compile(r"([-+]?)([0-9A-Fa-f]{1,60})_\{?(\d\d?)\}?")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+\.\d+|\d+(?=E)|\d+(?=e\+)|1(?=e))[eE]\+?(-?\d{1,3})(?![\w.])")


@lru_cache(2048)
def read(text: str, grouped: bool = True) -> Node:
    """The tree of an answer. grouped: 1,200 is one number outside of brackets, not two.

    Raises Unreadable for what is not mathematics, TooMuch past a limit.
    """
    text = text.strip()
    if "**" in text and not text.startswith("**"):
        text = _POWER.sub("^", text)
    if based := _BASE.fullmatch(re.sub(r"\\text\{(\w+)\}|\s|\\_|\$|\\!", lambda m: m.group(1) or "", text)):
        return _based(*based.groups())
    if "\\" not in text:
        text = _SCIENTIFIC.sub(r"\1*10^{\2}", text)
    if text.count("$") - text.count("\\$") == 1:
        text = text.replace("$", "\\$")
    bare = grouped and not re.search(r"[(\[]|\\\{|, ", text)
    parser = Parser(tokens(text, grouped=bare), part)
    found = _list(parser)
    if not at_end(parser):
        raise Unreadable(f"{parser.peek().text!r} is left over")
    return found


def _based(sign: str, digits: str, base: str) -> Node:
    try:
        value = int(digits, int(base)) if 2 <= int(base) <= 36 else None
    except ValueError:
        value = None
    if value is None:
        raise Unreadable(f"{digits} has no value in base {base}")
    from curate.maths.tree import num

    return Node(
        "based", (num(-value if sign == "-" else value), sign.replace("+", "") + digits.upper(), int(base))
    )


def _list(p: Parser) -> Node:
    """Parts between commas, semicolons, and, or; the head says which word joined them."""
    parts: list[Node] = []
    joins = set()
    while p.peek().kind != "end" and not at_end(p):
        if p.eat(",", ";", "&", "\\\\", "land", "wedge") or p.sees("lor", "vee") or p.peek().kind == "sep":
            if p.sees("lor", "vee") or p.peek().kind == "sep":
                joins.add("and" if p.take().text == "and" else "or")
            continue
        before = p.at
        parts.append(part(p))
        if p.at == before:
            raise Unreadable(f"{p.peek().text!r} begins nothing")
    if not parts:
        raise Unreadable("nothing is there")
    head = "or" if "or" in joins else "and" if "and" in joins else "list"
    return parts[0] if len(parts) == 1 else Node(head, tuple(parts))


def part(p: Parser) -> Node:
    """One item: a value, a chain of relations, or words; a clause behind it ("for all x") is passed over."""
    sides: list[Node | str] = [_definition(p) or _operand(p)]
    while True:
        token = p.peek()
        if token.kind not in ("op", "cmd") or token.text not in _RELATIONS:
            break
        p.at += 1
        sign = _RELATIONS[token.text]
        if sign in ("<", ">") and p.eat("="):
            sign += "="
        sides += [sign, _operand(p)]
    _clause(p)
    return sides[0] if len(sides) == 1 else Node("rel", tuple(sides))  # type: ignore[return-value]


def _definition(p: Parser) -> Node | None:
    """P(x) = …, of any letter P: a value of a function, not a product."""
    name, opened = p.peek(), p.peek(1)
    if name.kind != "name" or opened.text != "(":
        return None
    deep, at = 0, p.at + 1
    while at < len(p.tokens):
        deep += (p.tokens[at].text == "(") - (p.tokens[at].text == ")")
        at += 1
        if not deep:
            break
    if at >= len(p.tokens) or p.tokens[at].text != "=" or deep:
        return None
    from curate.maths.groups import bracket

    p.at += 2
    return call("app", sym(name.text), bracket(p, "("))


def _clause(p: Parser) -> None:
    token = p.peek()
    if token.text == "forall" or token.kind == "word" and token.text.lower() in CLAUSES:
        while p.peek().kind not in ("end", "sep") and p.peek().text not in (";", "\\\\", "}"):
            p.at += 1


def _operand(p: Parser) -> Node:
    while (
        p.peek().kind == "word" and p.peek().text.lower() in NOISE or p.sees("approx", "therefore", "because")
    ):
        p.at += 1
    if p.sees("$") or p.peek().text == "$" and p.peek().kind == "esc":
        p.at += 1
        return Node("qty", (p.sum(), "$"))
    if p.peek().kind == "op" and p.peek().text == "-" and p.peek(1).text == "$":
        p.at += 2
        from curate.maths.tree import neg

        return Node("qty", (neg(p.sum()), "$"))
    if p.peek().kind in ("word", "other"):
        return _words(p)
    node = _ratio(p)
    while p.peek().text in _SETS and p.peek().kind == "cmd" or _is_union(p):
        sign = "union" if _is_union(p) else _SETS[p.peek().text]
        p.at += 1
        node = Node(sign, (node, p.sum()))
    if node.head == "deg" and p.peek().kind == "name" and p.peek().text in "CFK":
        return Node("qty", (node.args[0], "°" + p.take().text))
    return _quantity(p, node)


def _is_union(p: Parser) -> bool:
    return p.peek().text == "U" and p.peek().kind == "name" and p.peek(1).text in ("(", "[", "{")


def _ratio(p: Parser) -> Node:
    terms = [p.sum()]
    while not p.inset and p.sees(":", "colon"):
        p.at += 1
        terms.append(p.sum())
    return terms[0] if len(terms) == 1 else Node("ratio", tuple(terms))


def _quantity(p: Parser, value: Node) -> Node:
    """A value with the unit behind it, or as it is."""
    token = p.peek()
    if token.text in ("pmod", "bmod", "mod") and token.kind == "cmd":
        p.at += 1
        return Node("mod", (value, p.power()))
    if token.text in ("$", "euro") or token.kind == "other" and token.text in "€£¥₹":
        p.at += 1
        return Node("qty", (value, token.text))
    if token.kind != "word" or token.text.lower() in CLAUSES:
        return value
    said: list[str] = []
    while (
        (token := p.peek()).kind in ("word", "name", "num")
        or token.text in _UNIT_SIGNS
        and token.kind == "op"
    ):
        if token.kind == "word" and token.text.lower() in CLAUSES:
            break
        if token.text in ")}" and "".join(said).count("(") + said.count("{") <= said.count(")") + said.count(
            "}"
        ):
            break
        said.append(" " + token.text if token.spaced and said else token.text)
        p.at += 1
    return Node("qty", (value, "".join(said).strip()))


def _words(p: Parser) -> Node:
    """Natural language up to the next separator or relation."""
    said: list[str] = []
    while p.peek().kind not in ("end", "sep") and p.peek().text not in (
        ",",
        ";",
        ")",
        "}",
        "\\\\",
        *_RELATIONS,
    ):
        said.append(p.take().text.casefold())
    return Node("text", (" ".join(said).strip(" ."),))

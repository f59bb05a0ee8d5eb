"""A whole answer: lists, relations, conditions and units around expressions."""

from __future__ import annotations

import re
from functools import lru_cache

from curate.maths.counted import counted, numeral
from curate.maths.dialects import rewritten
from curate.maths.expression import Parser, at_end
from curate.maths.names import CLAUSES, IS, NOISE, is_unit
from curate.maths.tokens import tokens
from curate.maths.tree import Node, Unreadable, call, neg, num, power, sym
from curate.maths.words import phrase
from curate.scale_words import WORDS as SCALES

_SPELLED = {
    "=": "= equiv cong", "<": "< lt", ">": "> gt", "<=": "le leq leqslant leqq", ">=": "ge geq geqslant geqq",
    "!=": "ne neq", "~": "approx simeq thickapprox doteq sim", "in": "in", "notin": "notin",
    "to": "to rightarrow longrightarrow implies Rightarrow iff mapsto", "sub": "subset subseteq",
    "||": "parallel", "_|_": "perp", "prop": "propto",
}  # fmt: skip
_RELATIONS = {name: sign for sign, names in _SPELLED.items() for name in names.split()}
_SETS = {"cup": "union", "bigcup": "union", "cap": "inter", "setminus": "without", "backslash": "without"}
_SIGNS = frozenset("+-*/^!%")
_MONEY = frozenset("$€£¥₹")
_UNIT_SIGNS = frozenset("^/{}*-_()")
_RAISED = {"squared": 2, "cubed": 3}
_BASE = re.compile(r"([-+]?)([0-9A-Fa-f]{1,60})_\{?(\d\d?)\}?")


@lru_cache(2048)
def read(text: str, grouped: bool = True) -> Node:
    """The tree of an answer. grouped: 1,200 is one number outside of brackets, not two.

    Raises Unreadable for what is not mathematics, TooMuch past a limit.
    """
    text = text.strip()
    said = phrase(text)
    if said is not None:
        return said
    text = numeral(text)
    parts = counted(text)
    if parts is not None:
        return Node("qty", (read(parts[0]), parts[1]))
    text = rewritten(text)
    based = _BASE.fullmatch(re.sub(r"\\text\{(\w+)\}|\s|\\_|\$|\\!", lambda m: m.group(1) or "", text))
    if based and (based[2].isdigit() or int(based[3]) > 10 and len(based[2]) > 1):
        return _based(*based.groups())
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
    return Node(
        "based", (num(-value if sign == "-" else value), sign.replace("+", "") + digits.upper(), int(base))
    )


def _list(p: Parser) -> Node:
    """Parts between commas, semicolons, and, or; the head says which word joined them."""
    parts: list[Node] = []
    joins = set()
    apart = True
    logical: set[str] = set()
    while p.peek().kind != "end" and not at_end(p):
        if p.sees("land", "wedge", "lor", "vee"):
            logical.add("and" if p.sees("land", "wedge") else "or")
        if p.eat(",", ";", "&", "\\\\", "land", "wedge") or p.sees("lor", "vee") or p.peek().kind == "sep":
            if p.sees("lor", "vee") or p.peek().kind == "sep":
                joins.add("and" if p.take().text == "and" else "or")
            apart = True
            continue
        if not apart and (p.peek().text in _SIGNS or p.peek().kind == "cmd"):
            raise Unreadable(f"{p.peek().text!r} begins nothing")
        before, apart = p.at, False
        parts.append(part(p))
        if p.at == before:
            raise Unreadable(f"{p.peek().text!r} begins nothing")
    if not parts:
        raise Unreadable("nothing is there")
    if logical and any(n.head == "sym" for n in parts):
        return call(f"logic {' '.join(sorted(logical))}", *sorted(parts, key=repr))
    head = "or" if "or" in joins else "and" if "and" in joins else "list"
    return parts[0] if len(parts) == 1 else Node(head, tuple(parts))


def part(p: Parser) -> Node:
    """One item: a value, a chain of relations, or words; a clause behind it ("for all x") is passed over."""
    p.eat("=", "approx", "sim", "simeq")
    sides: list[Node | str] = [_definition(p) or _operand(p)]
    while True:
        token = p.peek()
        said = token.kind == "word" and token.text.casefold() in IS and len(sides) == 1
        if not said and (token.kind not in ("op", "cmd") or token.text not in _RELATIONS):
            break
        p.at += 1
        sign = "=" if said else _RELATIONS[token.text]
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
        deep = 0
        while (token := p.peek()).kind not in ("end", "sep") and token.text not in (";", "\\\\"):
            deep += (token.text in "{(") - (token.text in ")}")
            if deep < 0:
                break
            p.at += 1


def _operand(p: Parser) -> Node:
    while (
        p.peek().kind == "word" and p.peek().text.lower() in NOISE or p.sees("approx", "therefore", "because")
    ):
        p.at += 1
    if p.peek().text in _MONEY and p.peek().text:
        sign = p.take().text
        value = p.sum()
        return Node("qty", (value, f"{_unit(p)} {sign}" if p.peek().text.lower() in SCALES else sign))
    if p.peek().kind == "op" and p.peek().text == "-" and p.peek(1).text in _MONEY:
        sign, p.at = p.peek(1).text, p.at + 2
        return Node("qty", (neg(p.sum()), sign))
    if p.peek().kind in ("word", "other"):
        return _words(p)
    node = _ratio(p)
    if p.eat("choose"):
        node = call("binom", node, p.sum())
    while p.peek().text in _SETS and p.peek().kind == "cmd" or _is_union(p):
        sign = "union" if _is_union(p) else _SETS[p.peek().text]
        p.at += 1
        node = Node(sign, (node, p.sum()))
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
    if token.kind == "word" and token.text.lower() in _RAISED:
        p.at += 1
        return power(value, num(_RAISED[token.text.lower()]))
    braced = token.text == "{" and p.peek(1).kind == "word"
    if token.kind != "word" and not braced or token.text.lower() in CLAUSES:
        return value
    found = Node("qty", (value, _unit(p)))
    if p.peek().kind == "num" or p.peek().text == "frac":  # 5 feet 3 inches
        smaller = _quantity(p, p.product())
        if smaller.head not in ("qty", "add") and not is_unit(found.args[1]):
            raise Unreadable("words between two numbers")
        found = Node("add", (found, smaller))
    return found


def _unit(p: Parser) -> str:
    """The words of a unit with their signs: km/h, cm^{2}, square units."""
    said: list[str] = []
    while (
        (token := p.peek()).kind in ("word", "name", "num")
        or token.text in _UNIT_SIGNS
        and token.kind == "op"
        or token.text == "cdot"
        and p.peek(1).kind in ("word", "name")
    ):
        if token.kind == "word" and token.text.lower() in CLAUSES:
            break
        if token.text == "cdot":
            token = token._replace(text="*")
        raised = bool(said) and said[-1].strip() in ("^", "{", "_", "-")
        if (token.kind == "num" or token.text == "-") and not raised:
            break
        whole = "".join(said)
        if token.text in ")}" and whole.count("(") + whole.count("{") <= whole.count(")") + whole.count("}"):
            break
        said.append(" " + token.text if token.spaced and said else token.text)
        p.at += 1
    return "".join(said).strip()


def _words(p: Parser) -> Node:
    """Natural language up to the next separator or relation; or a unit before its number (USD 5)."""
    if p.peek(1).kind == "num" and p.peek().kind == "word" and is_unit(p.peek().text):
        unit = p.take().text
        return Node("qty", (p.sum(), unit))
    said: list[str] = []
    while p.peek().kind not in ("end", "sep") and p.peek().text not in (
        ",",
        ";",
        ")",
        "}",
        "\\\\",
        *_RELATIONS,
    ):
        if said and p.peek().text.casefold() in IS and p.peek(1).kind != "word":
            break
        said.append(p.take().text.casefold())
    return Node("text", (" ".join(said).strip(" ."),))

"""Numerals in every notation: mixed, repeating, of another base; and the argument of a LaTeX command."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from curate.maths.tree import BIGGEST, Node, TooMuch, Unreadable, add, const, mul, num, over, swap, sym, walk

if TYPE_CHECKING:
    from curate.maths.expression import Parser

FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", "rfrac"})


def number(p: Parser, text: str) -> Node:
    repeating = _repeating(p, text)
    if repeating is not None:
        return num(repeating)
    value = num(Fraction(text))
    mixed = _mixed(p, text)
    return add(value, mixed) if mixed is not None else based(p, value, text)


def _repeating(p: Parser, text: str) -> Fraction | None:
    r"""0.\overline{3}, 0.1\dot{6}, 0.(3), 0.333..."""
    at = p.at
    dot = not p.peek().spaced and p.peek().text == "." and "." not in text
    p.at += dot
    token, block = p.peek(), ""
    decimal = dot or "." in text
    if decimal and token.kind == "cmd" and token.text in ("overline", "dot", "bar") and not token.spaced:
        p.at += 1
        braced = p.eat("{")
        block = p.peek().text if p.peek().kind == "num" else ""
        p.at += bool(block)
        if braced and block:
            p.close("}")
    elif (
        decimal
        and token.text == "("
        and not token.spaced
        and p.peek(1).kind == "num"
        and p.peek(2).text == ")"
    ):
        block = p.peek(1).text
        p.at += 3
    elif (
        decimal
        and not dot
        and (token.text in ("ldots", "dots", "cdots") or [p.peek(n).text for n in range(3)] == ["."] * 3)
    ):
        p.at += 1 if token.kind == "cmd" else 3
        block = _block(text.partition(".")[2])
        text = text[: len(text) - len(block)] if block else text
        if not block:
            raise Unreadable("a decimal that goes on, one cannot know how")
    if not block.isdigit():
        p.at = at
        return None
    whole, _, start = text.partition(".")
    scale = 10 ** len(start)
    return Fraction(int((whole or "0") + start), scale) + Fraction(int(block), scale * (10 ** len(block) - 1))


def _block(digits: str) -> str:
    """The shortest block that the digits end in at least twice (a single digit: three times)."""
    for n in range(1, len(digits) // 2 + 1):
        times = 3 if n == 1 else 2
        if digits.endswith(digits[-n:] * times):
            return digits[-n:]
    return ""


def _mixed(p: Parser, text: str) -> Node | None:
    r"""The fraction of a mixed number: 1\frac12, 1 1/2. Proper fractions of plain integers only."""
    token = p.peek()
    if not text.isdigit():
        return None
    at, before = p.at, list(p.tokens)
    if token.kind == "cmd" and token.text in FRACTIONS:
        p.at += 1
        top, bottom = argument(p), argument(p)
    elif token.kind == "num" and token.spaced and p.peek(1).text == "/" and p.peek(2).kind == "num":
        p.at += 3
        top, bottom = num(Fraction(token.text)), num(Fraction(p.tokens[at + 2].text))
    else:
        return None
    small = top.head == bottom.head == "num" and 0 < top.args[0] < bottom.args[0]
    if not small or top.args[0].denominator != 1 or bottom.args[0].denominator != 1:
        p.at, p.tokens[:] = at, before
        return None
    return over(top, bottom)


def based(p: Parser, value: Node, text: str = "") -> Node:
    """A numeral with its base (2516_8), or the value as it is."""
    if not p.sees("_") or value.head != "num":
        return value
    at = p.at
    p.at += 1
    base = p.take() if not p.eat("{") else p.take()
    if at + 1 < len(p.tokens) and p.tokens[at + 1].text == "{":
        p.close("}")
    digits = text or str(value.args[0])
    names = {"two": "2", "three": "3", "eight": "8", "ten": "10", "sixteen": "16", "hex": "16"}
    number = names.get(base.text, base.text)
    if not number.isdigit() or len(number) > 2 or not 2 <= int(number) <= 36 or not digits.isdigit():
        raise Unreadable("a subscript that is no base")
    if any(int(d) >= int(number) for d in digits):
        raise Unreadable(f"{digits} has no value in base {number}")
    return Node("based", (num(int(digits, int(number))), digits, int(number)))


def argument(p: Parser) -> Node:
    """What a command takes: a group, one command with its own, or a single digit or letter."""
    with p.inside():
        if p.eat("{"):
            value = p.sum()
            p.close("}")
            return value
        token = p.peek()
        if token.kind == "num" and "." not in token.text and len(token.text) > 1:
            p.tokens[p.at] = token._replace(text=token.text[1:], spaced=False)
            return num(int(token.text[0]))
        if token.kind == "num":
            p.at += 1
            return num(Fraction(token.text))
        return p.atom()


def double_factorial(node: Node) -> Node:
    """5!! is 5 · 3 · 1, of a small natural number."""
    if node.head != "num" or node.args[0].denominator != 1 or not 0 <= node.args[0] <= 200:
        raise Unreadable("a double factorial that is not worked out")
    return num(prod(range(int(node.args[0]), 0, -2)))


def series(p: Parser, name: str) -> Node:
    r"""\sum_{k=1}^{5} k^2 between numbers, at most a hundred terms, written out."""
    bounds: dict[str, Node] = {}
    counter = None
    for _ in range(2):
        if p.eat("_"):
            opened = p.eat("{")
            counter = p.take().text
            if not opened or not p.eat("="):
                raise Unreadable(f"\\{name} without a counter")
            bounds["low"] = p.sum()
            p.close("}")
        elif p.eat("^"):
            bounds["high"] = p.exponent()
    body = p.product()
    low, high = bounds.get("low"), bounds.get("high")
    if counter is None or low is None or high is None or low.head != "num" or high.head != "num":
        raise Unreadable(f"\\{name} that is not between numbers")
    first, last = low.args[0], high.args[0]
    if first.denominator != 1 or last.denominator != 1 or last < first or last - first > 100:
        raise Unreadable(f"\\{name} of too many terms")
    if sum(1 for _ in walk(body)) * (last - first + 1) > BIGGEST:
        raise TooMuch("a sum of sums")
    names = (sym(counter), const(counter))
    terms = [swap(body, dict.fromkeys(names, num(k))) for k in range(int(first), int(last) + 1)]
    return add(*terms) if name == "sum" else mul(*terms)

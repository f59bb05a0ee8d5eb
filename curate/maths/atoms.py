"""Numbers, names, functions and LaTeX commands: what stands between the signs of an expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from curate.maths.groups import absolute, angle, braces, bracket, determinant, environment, set_of
from curate.maths.literals import FRACTIONS, argument, based, number, series
from curate.maths.names import FUNCTIONS, GREEK
from curate.maths.tree import (
    IMAGINARY,
    INF,
    PI,
    E,
    Node,
    TooMuch,
    Unreadable,
    add,
    call,
    const,
    mul,
    neg,
    num,
    over,
    power,
    swap,
    sym,
    symbols,
    walk,
)

if TYPE_CHECKING:
    from curate.maths.expression import Parser

CLOSING = frozenset({".", "}", ")", "]", "!", ",", ";", "'", '"', "?", ":", "\\\\", "&", "#", "$", ""})
_BINOMS = frozenset({"binom", "dbinom", "tbinom"})
_ROOTS = {"cbrt": 3, "fourthroot": 4}
_FIXED = {"pi": PI, "infty": INF, "infin": INF, "emptyset": Node("set"), "varnothing": Node("set")}
_FIXED |= {"Pi": sym("Pi"), "imath": IMAGINARY, "e": E, "mathrm": sym("rm")}
_SKIP = frozenset({"angle", "triangle", "measuredangle", "odot", "mathring", "Delta "})
_SAME = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "ell": "l", "varrho": "rho"}
_OTHER = frozenset(
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega prime partial nabla hbar complement ldots dots cdots"
    " square heartsuit diamond parallel perp overline bar dot sum prod int"
    " lfloor lceil lvert vert lVert Vert langle begin mathbb mathring bmod not stackrel".split()
)
STARTS = frozenset({*FUNCTIONS.values(), *FRACTIONS, *_BINOMS, *_ROOTS, *_FIXED, *GREEK, *_OTHER, *_SKIP}) - {
    "bmod", "not", "parallel", "perp", "ldots", "dots", "cdots", "stackrel", "mod",
}  # fmt: skip


def atom(p: Parser) -> Node:
    token = p.take()
    if token.kind == "num":
        return number(p, token.text)
    if token.kind == "name":
        return _named(p, token.text)
    if token.kind == "op" and token.text in ("(", "["):
        return based(p, bracket(p, token.text))
    if token.kind == "op" and token.text == "]":
        return bracket(p, "]")
    if token.kind == "op" and token.text == "{":
        return braces(p)
    if token.kind == "esc" and token.text == "{":
        return set_of(p, "}")
    if token.text in ("|", "||") and token.kind in ("op", "esc"):
        return absolute(p, token.text)
    if token.kind == "cmd":
        return _command(p, token.text)
    raise Unreadable(f"{token.text or 'the end'!r} where a value should stand")


def _named(p: Parser, name: str) -> Node:
    if p.sees("_"):
        name += "_" + subscript(p)
    if name == "C" and p.sees("(") and p.peek(2).text == "," and p.peek(4).text == ")":
        p.at += 1
        return call("binom", *bracket(p, "(").args)
    if name in ("f", "g", "h", "F", "G", "f'", "g'", "f''") or p.tokens[p.at - 1] is None:
        if p.sees("^") and p.peek(1).text == "{" and p.peek(2).text == "-" and p.peek(5).text == "(":
            p.at += 5
            name += "^-1"
        if p.sees("(") and not p.peek().spaced:
            p.at += 1
            inner = bracket(p, "(")
            return call("app", sym(name), inner)
    return E if name == "e" else IMAGINARY if name == "i" else sym(name)


def subscript(p: Parser) -> str:
    p.at += 1
    if not p.eat("{"):
        return p.take().text
    said, deep = [], 1
    while p.peek().kind != "end":
        token = p.take()
        deep += (token.text == "{") - (token.text == "}")
        if not deep:
            break
        said.append(token.text)
    return "".join(said)


def _command(p: Parser, name: str) -> Node:
    if name in FRACTIONS:
        top = argument(p)
        if p.peek().kind == "num" and len(p.peek().text) > 1:
            raise Unreadable("a fraction whose end cannot be seen")  # \frac721
        return over(top, argument(p))
    if name == "sqrt":
        return _root(p)
    if name in _ROOTS:
        return power(argument(p), num(Fraction(1, _ROOTS[name])))
    if name in _BINOMS:
        return (
            call("binom", argument(p), argument(p))
            if p.sees("{") or p.peek().kind == "num"
            else _function(p, "binom")
        )
    if name in ("sum", "prod"):
        return series(p, name)
    if name in ("int", "iint", "oint", "lim", "limsup", "liminf"):
        raise Unreadable(f"\\{name} is not worked out")
    if name in _FIXED:
        return _FIXED[name]
    if name.endswith("angle") and name != "triangle" and (corners := _corners(p)):
        return corners
    if name in _SKIP:
        return p.power()
    if name in ("lfloor", "lceil", "lvert", "vert", "lVert", "Vert", "langle", "begin", "mathbb"):
        return _GROUPS[name](p)
    if name in _FUNCTIONS:
        return _function(p, name)
    if name in ("bar", "overline"):
        return _conjugate(argument(p))
    if name in ("dot", "not", "stackrel", "underbrace", "overset", "underset"):
        return call(name, argument(p))
    if name in ("right", "ldots", "dots", "cdots", "mid", "in", "le", "ge", "end") or len(name) > 20:
        raise Unreadable(f"\\{name} where a value should stand")
    name = _SAME.get(name, name)
    return sym(name + ("_" + subscript(p) if p.sees("_") else ""))


def _conjugate(node: Node) -> Node:
    """The conjugate of a complex number; of anything else a name: a mean, a segment, a complement."""
    is_number = any(n == IMAGINARY for n in walk(node)) and not symbols(node)
    return swap(node, {IMAGINARY: neg(IMAGINARY)}) if is_number else call("overline", node)


def _corners(p: Parser) -> Node | None:
    """The angle ABC, which is CBA too, but not ACB."""
    letters = ""
    while p.peek(len(letters)).kind == "name" and re.fullmatch("[A-Z]", p.peek(len(letters)).text):
        letters += p.peek(len(letters)).text
    if len(letters) != 3 or p.peek(3).text == "_":
        return None
    p.at += 3
    return sym("angle " + min(letters, letters[::-1]))


_FUNCTIONS = frozenset(FUNCTIONS.values()) - {"sqrt", "cbrt", "frac", "binom"}


def _root(p: Parser) -> Node:
    degree = num(2)
    if p.eat("["):
        with p.inside():
            degree = p.sum()
            p.close("]")
    whole = p.peek().kind == "num"  # \sqrt21 is meant as a root of 21
    inner = num(Fraction(p.take().text)) if whole else argument(p)
    if degree.head == "num" and degree.args[0]:
        return power(inner, num(1 / degree.args[0]))
    return power(inner, over(num(1), degree))


def _function(p: Parser, name: str) -> Node:
    if p.depth > 30:
        raise TooMuch("functions of functions")
    base = exponent = None
    for _ in range(2):
        if p.sees("_"):
            p.at += 1
            base = argument(p)
        elif p.eat("^"):
            exponent = p.exponent()
    if name in ("max", "min", "gcd", "lcm", "binom") or p.sees("("):
        node = p.take()
        if node.text != "(":
            raise Unreadable(f"{name} of nothing")
        inner = bracket(p, "(")
        inner = p.postfix(inner)
    else:
        inner = _reach(p)
    args = inner.args if inner.head == "()" else (inner,)
    if name == "det" and inner.head == "rows":
        return determinant(inner)
    if name == "log" and base is not None:
        args = (*args, base)
    if name == "cis":
        return add(call("cos", *args), mul(IMAGINARY, call("sin", *args)))
    if name == "lg":
        name, args = "log", (*args, num(10))
    if exponent == num(-1) and name in ("sin", "cos", "tan", "cot", "sec", "csc"):
        return call(f"arc{name}", *args)
    value = call(name, *args)
    return power(value, exponent) if exponent is not None else value


def _reach(p: Parser) -> Node:
    r"""The argument of a function without brackets: \sin 2x y, up to the next function, bracket or sign."""
    with p.inside():
        factors = [p.signed()]
        while (
            p._starts(p.peek())
            and p.peek().text not in _FUNCTIONS
            and p.peek().text not in ("(", "[", "|", "\\{")
        ):
            factors.append(p.power())
        if p.sees("/") and p.peek(1).kind == "num" and factors[-1] in (PI,):
            p.at += 1
            factors.append(power(num(Fraction(p.take().text)), num(-1)))
    return mul(*factors)


def _numbers(p: Parser) -> Node:
    braced = p.eat("{")
    name = p.take().text
    if braced:
        p.close("}")
    if p.sees("^") and p.peek(1).text in ("+", "-", "*"):
        p.at += 1
        name += p.take().text
    elif p.sees("_"):
        name += "_" + subscript(p)
    return const(name) if name[:1] in "RZNQC" else sym(name)


_GROUPS: dict[str, Callable[[Parser], Node]] = {
    "lfloor": lambda p: absolute(p, "rfloor"), "lceil": lambda p: absolute(p, "rceil"),
    "lvert": lambda p: absolute(p, "rvert"), "vert": lambda p: absolute(p, "vert"),
    "lVert": lambda p: absolute(p, "rVert"), "Vert": lambda p: absolute(p, "Vert"),
    "langle": angle, "begin": environment, "mathbb": _numbers,
}  # fmt: skip

"""Sums, products and powers, read by precedence from a row of tokens into a tree; bounded in depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from curate.maths.atoms import CLOSING, STARTS, atom, subscript
from curate.maths.literals import double_factorial
from curate.maths.tokens import Token
from curate.maths.tree import DEEPEST, Node, TooMuch, Unreadable, add, call, mul, neg, num, over, power, sym

END = Token("end", "", True)
_TIMES = frozenset({"cdot", "times", "ast", "cdotp", "star", "bullet"})
_BY = frozenset({"div", "slash"})
_MARKS = frozenset({"circ", "degree", "prime", "th", "st", "nd", "rd", "dagger", "*"})
_PM = {"pm": "pm", "mp": "mp", "plusmn": "pm"}


class Parser:
    """A place in a row of tokens. `part` reads one item of a list; `bars` counts open |, `inset` is \\{."""

    def __init__(self, tokens: list[Token], part: Callable[[Parser], Node]) -> None:
        self.tokens, self.part = tokens, part
        self.at = self.depth = self.bars = 0
        self.inset = False

    def peek(self, ahead: int = 0) -> Token:
        where = self.at + ahead
        return self.tokens[where] if where < len(self.tokens) else END

    def take(self) -> Token:
        token = self.peek()
        self.at = min(self.at + 1, len(self.tokens))
        return token

    def sees(self, *texts: str) -> bool:
        token = self.peek()
        return token.text in texts and token.kind in ("op", "cmd")

    def eat(self, *texts: str) -> bool:
        """Past the next sign, where it is one of these."""
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def close(self, *texts: str) -> None:
        """Past a closing bracket; what the text ends without is closed by its end."""
        token = self.take()
        if token.kind != "end" and token.text not in texts:
            raise Unreadable(f"{token.text!r} where {texts[0]!r} should close")

    @contextmanager
    def inside(self, *, bars: int = 0, inset: bool = False) -> Iterator[None]:
        """Within a bracket: one deeper, and with its own bars."""
        if self.depth >= DEEPEST:
            raise TooMuch(f"brackets {self.depth} deep")
        was, self.depth, self.bars, self.inset = (self.bars, self.inset), self.depth + 1, bars, inset
        yield
        (self.bars, self.inset), self.depth = was, self.depth - 1

    def sum(self) -> Node:
        terms = [self.product()]
        while True:
            token = self.peek()
            if token.kind == "op" and token.text in "+-" and token.text:
                self.at += 1
                term = self.product()
                terms.append(term if token.text == "+" else neg(term))
            elif token.kind == "cmd" and token.text in _PM:
                self.at += 1
                terms.append(Node(_PM[token.text], (self.product(),)))
            else:
                return add(*terms)

    def product(self) -> Node:
        factors = [self.signed()]
        while True:
            token = self.peek()
            if token.text in _TIMES and token.kind == "cmd" or token.text == "*" and token.kind == "op":
                self.at += 1
                factors.append(self.signed())
            elif token.text in _BY and token.kind == "cmd" or token.text == "/" and token.kind == "op":
                self.at += 1
                factors[:] = [over(mul(*factors), self.signed())]
            elif self._starts(token):
                factors.append(self.power())
            else:
                return mul(*factors)

    def _starts(self, token: Token) -> bool:
        """Whether a factor begins here without a sign of multiplication."""
        if token.kind in ("op", "esc"):
            if token.text in ("|", "\\|"):
                return self.bars == 0 and not self.inset and token.kind == "op"
            if token.text == "{" and token.kind == "op" and self.peek(1).kind == "word":
                return False
            return token.text in ("(", "[", "{") if token.kind == "op" else token.text == "{"
        before = self.tokens[self.at - 1] if self.at else END
        if token.kind == "num":
            return before.kind != "num" and before.text not in ("'",)
        if token.text in ("vert", "Vert") and token.kind == "cmd":
            return self.bars == 0 and not self.inset
        return token.kind == "name" or token.kind == "cmd" and token.text in STARTS

    def signed(self) -> Node:
        sign, shape = 1, None
        for _ in range(len(self.tokens)):
            token = self.peek()
            if token.kind == "op" and token.text in ("+", "-"):
                sign *= 1 if token.text == "+" else -1
            elif token.kind == "cmd" and token.text in _PM:
                shape = _PM[token.text]
            else:
                break
            self.at += 1
        node = self.power()
        node = Node(shape, (node,)) if shape else node
        return neg(node) if sign < 0 else node

    def power(self) -> Node:
        if self.depth >= DEEPEST:
            raise TooMuch("powers of powers")
        node = self.postfix(atom(self))
        if not self.sees("^"):
            return node
        self.at += 1
        if mark := self._mark():
            marked = mark(node)
            if marked.head == "deg" and self.peek().kind == "name" and self.peek().text in ("C", "F"):
                return Node("qty", (node, "°" + self.take().text))
            return self.power_of(self.postfix(marked))
        exponent = self.exponent()
        if node.head == "sym" and self.sees("_"):  # v^2_0
            node = sym(node.args[0] + "_" + subscript(self))
        return self.postfix(power(node, exponent))

    def power_of(self, node: Node) -> Node:
        return power(node, self.exponent()) if self.eat("^") else node

    def atom(self) -> Node:
        return atom(self)

    def exponent(self) -> Node:
        with self.inside():
            if self.eat("{"):
                value = self.sum()
                self.close("}")
                return power(value, self.exponent()) if self.eat("^") else value
            if self.peek().kind == "num":  # v^2_0: no base
                value = num(Fraction(self.take().text))
                return power(value, self.exponent()) if self.eat("^") else value
            return self.signed()

    def _mark(self) -> Callable[[Node], Node] | None:
        r"""An exponent that is none: a degree sign, a prime, an ordinal's th."""
        brace = self.sees("{")
        token, after = self.peek(int(brace)), self.peek(int(brace) + 1)
        if token.text in _MARKS and token.kind in ("cmd", "word", "op", "name"):
            if brace and after.text not in ("}", ""):
                return None
            self.at += 1 + 2 * brace
            if token.text in ("circ", "degree"):
                return lambda node: Node("deg", (node,))
            return (lambda node: call("prime", node)) if token.text == "prime" else lambda node: node
        return None

    def postfix(self, node: Node) -> Node:
        for _ in range(len(self.tokens)):
            token = self.peek()
            if token.text == "!" and token.kind == "op" and self.peek(1).text == "!":
                node, self.at = double_factorial(node), self.at + 1
            elif token.text == "!" and token.kind == "op":
                node = call("factorial", node)
            elif token.text == "%":
                node = Node("pct", (node,))
            elif token.text == "'" and token.kind == "op" and node.head == "num":
                node = Node("qty", (node, "arcminutes"))
            elif token.text in ("degree", "textdegree") and token.kind == "cmd":
                node = Node("deg", (node,))
            else:
                break
            self.at += 1
        return node


def at_end(parser: Parser) -> bool:
    """Whether nothing is left but what may close an answer: a full stop, a bracket too many."""
    rest = parser.tokens[parser.at : parser.at + 12]
    return all(t.text in CLOSING for t in rest) and len(parser.tokens) - parser.at < 12

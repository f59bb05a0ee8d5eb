r"""LaTeX and plain text become one row of tokens, in one linear pass.

Kinds: `num` (digits), `name` (a symbol or the name of a function), `cmd` (a LaTeX command that means
something), `word` (natural language and units), `op` (one sign), `sep` (and, or). What only sets the type
(`$`, `\left`, spaces, `\displaystyle`) leaves nothing but a mark that a space stood there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from curate.maths.names import CONSTANTS, FUNCTIONS, GLUED, GREEK, LINKS, STOPS, is_unit
from curate.maths.signs import ascii_maths
from curate.maths.tree import BIGGEST, LONGEST, TooMuch
from curate.maths.words import closed


class Token(NamedTuple):
    kind: str
    text: str
    spaced: bool  # whether a space stood before it


_SPACE = (
    r"(?:\s|~|\$|\*\*|`|\\[,;:!> ]|\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?|\\[()\[\]]"
    r"|\\(?:q?quad|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|tt|large|Large|tiny|small|boldmath"
    r"|mathstrut|strut|ensuremath|hfill|noindent|thinspace|medspace|thickspace|nonumber|cal|allowbreak)(?![a-zA-Z])"
    r"|\\[hv]space\*?\s?\{[^{}]{0,20}\}|\\(?:h|v)?phantom\s?\{[^{}]{0,20}\})"
)
_GROUP = r"\d{1,3}(?:%s\d{3})+(?!\d)(?:\.\d+)?"
_SAFE = _GROUP % r"(?:\{,\}|,\\!|\\!,|\\,|\\!|\\ |~| |\{\\,\})"
_BARE = _GROUP % r"(?:,|\{,\}|,\\!|\\!,|\\,|\\!|\\ |~| |\{\\,\})"
_REST = (
    r"|(?P<num>\d+\{,\}\d+|\d+\.\d+|\.\d+|\d+)"
    r"|(?P<row>\\\\(?:\[[\d.]{1,5}[a-z]{2}\])?|\\cr\b|\\newline\b)"
    r"|\\(?P<styled>text(?:bf|it|rm|sf|normal|tt)?|mbox|hbox|fbox|textup|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|pmb|operatorname\*?"
    r"|mathop|mathcal|mathscr|mathfrak|vec|overrightarrow|hat|tilde|widehat|emph|boxed|underline|color|uline)(?![a-zA-Z])\s*(?=\{|[a-zA-Z\\])"
    r"|\\(?P<cmd>[a-zA-Z]+)|(?P<esc>\\[{}%$#&_|])"
    r"|(?P<name>[a-zA-Z]+'*)|(?P<op><=|>=|!=|==|=>|->|\|\||[-+*/^_(){}\[\]|,;:=<>!%'.#$@?\"&])|(?P<other>.)"
)
_TOKENS = {
    g: re.compile(f"(?P<space>{_SPACE}+)|(?P<big>{_BARE if g else _SAFE}){_REST}", re.DOTALL) for g in (0, 1)
}
_SIZES = re.compile(r"(?:\\(?:left|right|[bB]igg?[lrm]?|!)\.?|\$)+")
_CONTENT = re.compile(r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_NOT_DIGITS = re.compile(r"[^\d.]")
_SIGNS = {"<=": "le", ">=": "ge", "!=": "ne", "==": "=", "=>": "to", "->": "to"}


def tokens(text: str, *, grouped: bool) -> list[Token]:
    """The tokens of a text. grouped: a bare comma between three digits separates thousands.

    Raises TooMuch past 4,000 characters or 3,000 tokens.
    """
    if len(text) > LONGEST:
        raise TooMuch(f"an answer of {len(text)} characters")
    out: list[Token] = []
    for token in _scan(ascii_maths(text), grouped, 0):
        out.append(_known(token, out))
        if len(out) > BIGGEST:
            raise TooMuch("an answer of too many tokens")
    for before, token, after in zip(out, out[1:], out[2:], strict=False):
        if token.text == "U" and before.text in ")]}" and after.text in "([{":
            out[out.index(token)] = Token("cmd", "cup", True)
    return [t for token in out for t in _split(token)]


def _scan(text: str, grouped: bool, depth: int) -> Iterator[Token]:
    at, spaced, scanner = 0, False, _TOKENS[grouped]
    while at < len(text):
        found = scanner.match(text, at)
        if found is None:
            return
        at, kind, said = found.end(), found.lastgroup or "", found.group()
        if kind == "space":
            spaced = spaced or _SIZES.fullmatch(said) is None
            continue
        if kind == "styled":
            content = _CONTENT.match(text, at)
            if content is not None:
                at = content.end()
                yield from _styled(found.group("styled"), content.group(1), spaced, grouped, depth)
            spaced = content is not None and content.group(1).endswith((" ", "~"))
            continue
        yield _token(kind, said, spaced)
        spaced = False


_AXES = {"i": "i", "j": "j", "k": "k", "\\imath": "i", "\\jmath": "j"}
_BOLD = frozenset("vec hat widehat overrightarrow mathbf boldsymbol bm".split())


def _styled(style: str, content: str, spaced: bool, grouped: bool, depth: int) -> Iterator[Token]:
    r"""The content of \text{} and the like: words where it holds some, else what it would be without."""
    said = re.sub(r"~|\\[,;:! ]", " ", content).strip()
    if style == "color" or not said:
        return
    axis = _AXES.get(said) if style in _BOLD else None
    if axis or style in ("vec", "overrightarrow") and re.fullmatch("[A-Z]{2}", said):
        yield Token("vector", f"vec {axis or said}", spaced)
        return
    if style.startswith(("text", "mbox", "mathrm", "hbox")) and (
        said.isalpha() and len(said) == 1 or is_unit(said)
    ):
        yield Token("styled", said, True)
    elif (
        not _LETTERS.search(said) or depth > 3 or style in ("boxed", "vec", "overrightarrow") or "\\" in said
    ):
        yield from _scan(content, grouped, depth + 1) if depth <= 3 else ()
    elif style.startswith(("text", "mbox", "hbox", "emph")) and re.search(r"\d|[-=]", said):
        yield from _scan(content, grouped, depth + 1)
    else:
        for word in re.findall(r"[^\s,;]+|[,;]", said):
            bare = word.strip(".")
            yield Token("op", word, spaced) if word in ",;" else Token("styled", bare, True)


def _token(kind: str, said: str, spaced: bool) -> Token:
    if kind in ("num", "big"):
        if kind == "num" and "{,}" in said:
            return Token("num", said.replace("{,}", "."), spaced)
        return Token("num", _NOT_DIGITS.sub("", said) if kind == "big" else said, spaced)
    if kind == "row":
        return Token("op", "\\\\", spaced)
    if kind == "cmd":
        return Token("cmd", said[1:], spaced)
    if kind == "esc":
        return Token("esc", said[1:], spaced)
    if kind == "op" and said in _SIGNS:
        return Token("op", "=", spaced) if said == "==" else Token("cmd", _SIGNS[said], spaced)
    return Token(kind, said, spaced)


def _known(token: Token, before: list[Token]) -> Token:
    """Letters and styled text by what they are: a function, a constant, a unit, a word, or symbols."""
    if token.kind == "vector":
        return token._replace(kind="name")
    if token.kind not in ("name", "styled"):
        return token
    text, low = token.text, token.text.lower()
    if low in LINKS:
        return Token("sep", LINKS[low], True)
    pi = bool(before) and before[-1].text == "pi"
    operand = bool(before) and (before[-1].kind in ("num", "name", "word") or before[-1].text in ")}]|")
    if text == "min" and operand or text in ("USD", "EUR", "GBP", "INR", "CNY", "RMB"):
        return Token("word", text, token.spaced)
    if text in FUNCTIONS or low in FUNCTIONS and len(low) > 1:
        return Token("cmd", FUNCTIONS.get(text) or FUNCTIONS[low], token.spaced)
    if text in CONSTANTS or low in CONSTANTS and len(low) > 1:
        return Token("cmd", CONSTANTS.get(text) or CONSTANTS[low], token.spaced)
    if low in GREEK:
        return Token("cmd", low, token.spaced)
    if token.kind == "styled":
        single = len(text) == 1 and not ((operand or pi) and is_unit(text) and text not in "eidxy")
        return Token("name" if single else "word", text, token.spaced)
    letters = text.rstrip("'")
    if closed(text) and len(letters) > 2:
        return Token("word", text, token.spaced)
    if len(letters) == 1 or low in STOPS:
        return Token("word" if low in STOPS and len(letters) > 1 else "name", text, token.spaced)
    if letters in _BEHIND_PI and pi and not any(t.text == "(" for t in before):
        return Token("word", text, token.spaced)
    if len(letters) <= 4 and operand and (token.spaced or letters in GLUED) and is_unit(letters):
        return Token("word", text, token.spaced)
    return Token("letters", text, token.spaced)


_BEHIND_PI = GLUED - {"hr"} | {"rad", "rads"}  # \pi hr and 2\pi ft are products of letters
_PREFIX = re.compile(r"(?:arc(?:sin|cos|tan)|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|sqrt|pi)")


def _split(token: Token) -> Iterator[Token]:
    """A run of letters as symbols ("xy"), functions ("sinx", "2pir"), or one word ("apples")."""
    if token.kind != "letters":
        yield token
        return
    text, prime = token.text.rstrip("'"), token.text[len(token.text.rstrip("'")) :]
    parts, at = [], 0
    while at < len(text):
        found = _PREFIX.match(text, at)
        parts.append(found.group() if found else text[at])
        at += len(parts[-1])
    plain = [p for p in parts if len(p) == 1]
    if len(plain) > 4 or len(parts) == len(plain) == 4 and text[1:].islower():
        yield Token("word", token.text, token.spaced)
        return
    for n, part in enumerate(parts):
        kind = "name" if len(part) == 1 else "cmd"
        yield Token(kind, part + (prime if n == len(parts) - 1 else ""), token.spaced and n == 0)

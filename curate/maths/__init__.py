r"""Whether two answers are equal as mathematics, decided from their texts within bounded time.

The cheap looks come first: equal strings, exact fractions, canonical trees, residues modulo large primes,
fifty digits at random points, and behind digits that agree one bounded exact proof. Nothing in here ever
hands a text to an evaluator.

What is proof and what is evidence: strings, exact fractions and canonical trees (sums of multiples of
products) prove equality; a residue that differs, or digits that differ by more than their error, prove a
difference. Residues and digits that agree are evidence, which `curate.maths.proof` then proves or refutes
for algebraic constants and for identities of polynomials, roots, exponentials, logarithms and sines; past its
bounds, or for other functions, 140 digits that agree stand as they are.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Protocol

from curate.maths.answer import read
from curate.maths.canon import canon
from curate.maths.fallback import math_verify_says
from curate.maths.numerals import rational, squeezed
from curate.maths.settle import depth, settle
from curate.maths.shapes import same
from curate.maths.spelled import day, is_label, undashed
from curate.maths.tree import LONGEST, Node, TooMuch, Unreadable, num, walk
from curate.maths.words import bare, formula, phrase, same_time, seconds

__all__ = ["Comparison", "Policy", "canonical", "equal", "is_words", "readable"]


class Comparison(NamedTuple):
    """same: None where it is not decided; why: a word of `curate.step.Why`; note: a few words for people."""

    same: bool | None
    why: Literal["equal", "different", "gold_invalid", "unsupported", "limit"]
    note: str = ""


class Policy(Protocol):
    """What counts as equal where mathematics alone does not say; MathEqual's fields."""

    @property
    def rounded(self) -> Literal["different", "equal"]: ...
    @property
    def percent(self) -> Literal["value", "either"]: ...
    @property
    def missing_unit(self) -> Literal["equal", "different"]: ...
    @property
    def degrees(self) -> Literal["different", "equal"]: ...
    @property
    def assignment(self) -> Literal["equal", "different"]: ...


_OPEN = re.compile(r"\\(?:i*o?int|lim|sum|prod)(?![a-z])")
_ZEROS = re.compile(r",\s?0\d")
_CAPITALS = re.compile("[A-Z]{3,}")
_COMMA = re.compile(r"-?\d{1,30},(?:\d{1,2}|\d{4,30})")


def equal(gold: str, said: str, policy: Policy) -> Comparison:
    """Whether an answer is the gold answer.

    Abstains for a gold that is empty, unreadable or plain words, and past a limit of size.
    """
    if not gold.strip():
        return Comparison(None, "gold_invalid", "it is empty")
    left, right = rational(gold), rational(said)
    if left is not None and right is not None and (left == right or policy.rounded == "different"):
        if left == right or not _listed(gold, said):
            return _verdict(left == right, "as numbers")
    if squeezed(gold) == squeezed(said):
        return _verdict(True, "as texts")
    if (compound := formula(gold)) and compound == formula(said):
        return _verdict(True, "as chemical formulas")
    one, other = seconds(gold), seconds(said)
    if one and other and (one[1] or other[1]):
        return _verdict(same_time(one, other), "as times of day")
    days = day(bare(gold)), day(bare(said))
    if days[0] and days[1]:
        years = {days[0][2], days[1][2]} - {""}
        return _verdict(days[0][:2] == days[1][:2] and len(years) < 2, "as dates")
    if is_label(bare(gold)) and undashed(bare(gold)) == undashed(bare(said)):
        return _verdict(True, "as texts")
    if is_label(bare(gold)) or days[0]:
        return Comparison(None, "unsupported", "a date, a range or a code, and no number")
    if is_label(bare(said)) or days[1]:
        return _verdict(False, "the answer is a date, a range or a code")
    if _shuffled(bare(gold), bare(said)):
        return Comparison(None, "unsupported", "letters in another order")
    try:
        return _by_tree(gold, said, policy)
    except (TooMuch, RecursionError) as e:
        return Comparison(None, "limit", str(e))


def _shuffled(gold: str, said: str) -> bool:
    """Whether both are the same capitals in another order: ABC and ACB may be one set, or two rankings."""
    return bool(_CAPITALS.fullmatch(gold)) and gold != said and sorted(gold) == sorted(said)


def _listed(*texts: str) -> bool:
    """Whether a comma may as well separate two numbers as thousands."""
    return any("," in t for t in texts)


def _verdict(same: bool, note: str = "") -> Comparison:
    return Comparison(same, "equal" if same else "different", note)


def _by_tree(gold: str, said: str, policy: Policy) -> Comparison:
    key = _read(gold)
    if key is not None and _is_words(key):
        return _words(key, _read(said), policy)
    answer = _read(said)
    if key is None or answer is None:
        return _fallen(gold, said, key)
    found = same(key, answer, policy)
    if found is not True and _listed(gold, said):
        others = [_read(t, grouped=False) for t in (gold, said)]
        tries = (
            ()
            if _ZEROS.search(gold + " " + said)
            else ((others[0], answer), (key, others[1]), (others[0], others[1]))
        )
        if any(x is not None and y is not None and same(x, y, policy) for x, y in tries):
            found = True
    if found is None and _is_words(answer):
        return _verdict(False, "the answer is words")
    if found is None:
        return Comparison(None, "unsupported", "rules do not decide what equals such an answer")
    if found is False and _decimal_comma(gold, said):
        found = True
    return _verdict(found)


def _decimal_comma(*texts: str) -> bool:
    """Whether one text is the other with a comma for its decimal point: 0,5 and 0.5."""
    bare = [t.strip().strip("$") for t in texts]
    return any(_COMMA.fullmatch(a) and a.replace(",", ".") == b for a, b in (bare, bare[::-1]))


def _read(text: str, grouped: bool = True) -> Node | None:
    """The tree; None for what cannot be read. Raises TooMuch past a limit."""
    try:
        tree = read(text, grouped)
    except Unreadable:
        return None
    except ZeroDivisionError:
        return None
    depth(tree)
    return tree


def _fallen(gold: str, said: str, key: Node | None) -> Comparison:
    """One of the two is beyond our reader."""
    found = math_verify_says(gold, said) if "\\" in (gold if key is None else said) else None
    if found is not None:
        return _verdict(found, "as Math-Verify says")
    if any(_OPEN.search(t) for t in (gold, said)):
        return Comparison(None, "unsupported", "a sum, an integral or a limit is not worked out")
    if key is not None:
        return _verdict(False, "the answer is not mathematics that can be read")
    return Comparison(None, "gold_invalid", "it cannot be read as mathematics")


def _is_words(node: Node) -> bool:
    return any(n.head == "text" for n in walk(node)) and not _is_named(node)


def _is_named(node: Node) -> bool:
    """Words that only name a value: "area = 5"."""
    values = settle(node)
    items = values.args if values.head in ("list", "and", "or") else (values,)
    return all(n.head == "def" and not _is_words(n.args[1]) for n in items)


def _words(key: Node, answer: Node | None, policy: Policy) -> Comparison:
    found = same(key, answer, policy) if answer is not None else None
    if found is None or found is False and key.head != "text":
        return Comparison(None, "unsupported", "the gold answer is words")
    return _verdict(found, "as words")


def canonical(text: str) -> str:
    """A key that is the same for answers that are cheaply seen to be equal: 1/2, 0.5, \\frac12, x = 0.5."""
    number = rational(text)
    words = bare(text)
    if (found := day(words)) or is_label(words):
        return f"day {found}" if found else f"words {undashed(words)}"
    if number is None and words.isalpha() and len(words) > 2:
        return f"words {words.casefold()}"
    try:
        tree = settle(read(text)) if number is None else num(number)
        depth(tree)
        tree = canon(tree.args[1] if tree.head == "def" else tree)
        return str(tree.args[0]) if tree.head == "num" else repr(tree)
    except (Unreadable, TooMuch, ZeroDivisionError, RecursionError, ValueError):
        return squeezed(text[:LONGEST]).casefold()


def readable(gold: str) -> bool:
    """Whether a gold answer can be compared as mathematics."""
    if rational(gold) is not None:
        return True
    if is_label(bare(gold)) or day(bare(gold)):
        return False
    try:
        tree = _read(gold)
    except (TooMuch, RecursionError):
        return False
    return tree is not None and not _is_words(tree)


def is_words(gold: str) -> bool:
    """Whether a gold answer is natural language: for a judge, not for rules."""
    if phrase(gold) is not None and not readable(gold):
        return True
    if is_label(bare(gold)) or day(bare(gold)):
        return True
    try:
        tree = _read(gold)
    except (TooMuch, RecursionError):
        return False
    return tree is not None and _is_words(tree)

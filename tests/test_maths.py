"""Laws of the comparison of answers: reflexive, symmetric, deaf to style, bounded; and its policies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.maths import canonical, equal, readable
from curate.maths.answer import read
from curate.maths.canon import canon
from curate.maths.tree import TooMuch, Unreadable
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.numeric import Numeric

STRICT = MathEqual()


# An answer is written in LaTeX and in plain text by two writers that know nothing of the reader.


def number() -> st.SearchStrategy[tuple[str, str]]:
    whole = st.integers(0, 999).map(lambda n: (str(n), str(n)))
    part = st.tuples(st.integers(1, 99), st.integers(2, 99))
    return whole | part.map(lambda p: (rf"\frac{{{p[0]}}}{{{p[1]}}}", f"({p[0]}/{p[1]})"))


def name() -> st.SearchStrategy[tuple[str, str]]:
    return st.sampled_from([("x", "x"), ("y", "y"), (r"\pi", "pi"), (r"\theta", "θ"), ("a_1", "a_{1}")])


def grown(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    two = st.tuples(inner, inner)
    return (
        two.map(lambda p: (f"{p[0][0]} + {p[1][0]}", f"({p[0][1]})+({p[1][1]})"))
        | two.map(lambda p: (rf"\left({p[0][0]}\right)\cdot {{{p[1][0]}}}", f"({p[0][1]})*({p[1][1]})"))
        | inner.map(lambda p: (rf"\sqrt{{{p[0]}}}", f"sqrt({p[1]})"))
        | inner.map(lambda p: (rf"\left({p[0]}\right)^{{2}}", f"({p[1]})^2"))
        | inner.map(lambda p: (rf"-\left({p[0]}\right)", f"-({p[1]})"))
        | inner.map(lambda p: (rf"\sin\left({p[0]}\right)", f"sin({p[1]})"))
    )


EXPRESSIONS = st.recursive(number() | name(), grown, max_leaves=6)


@given(EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_the_same_expression_in_latex_and_in_plain_text(expression: tuple[str, str]) -> None:
    latex, plain = expression
    for gold, said in ((latex, plain), (plain, latex), (latex, latex), (plain, plain)):
        assert equal(gold, said, STRICT).same is True


@given(EXPRESSIONS, EXPRESSIONS)
@settings(max_examples=100, deadline=None)
def test_neither_side_is_special(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert equal(one[0], other[1], STRICT).same == equal(other[1], one[0], STRICT).same


@given(
    EXPRESSIONS,
    st.sampled_from(["${}$", r"\({}\)", r"\[{}\]", r"\displaystyle {}", "  {} ", "{}.", r"\,{}\,"]),
)
@settings(max_examples=100, deadline=None)
def test_style_means_nothing(expression: tuple[str, str], style: str) -> None:
    assert equal(expression[0], style.replace("{}", expression[0]), STRICT).same is True


@given(EXPRESSIONS)
@settings(max_examples=100, deadline=None)
def test_one_more_is_different(expression: tuple[str, str]) -> None:
    assert equal(expression[0], expression[0] + " + 1", STRICT).same is False


@given(st.lists(EXPRESSIONS, min_size=2, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_set_has_no_order(items: list[tuple[str, str]], dice: random.Random) -> None:
    shuffled = list(items)
    dice.shuffle(shuffled)
    gold = r"\{" + ", ".join(i[0] for i in items) + r"\}"
    assert equal(gold, "{" + ", ".join(i[1] for i in shuffled) + "}", STRICT).same is True


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**6))
def test_fractions_are_exact(top: int, bottom: int) -> None:
    said = rf"\frac{{{top}}}{{{bottom}}}"
    assert equal(f"{top}/{bottom}", said, STRICT).same is True
    assert equal(f"{top}/{bottom}", rf"\frac{{{top * bottom + 1}}}{{{bottom**2}}}", STRICT).same is False


@given(EXPRESSIONS)
@settings(max_examples=100, deadline=None)
def test_a_canonical_tree_is_its_own_canonical_form(expression: tuple[str, str]) -> None:
    once = canon(read(expression[0]))
    assert canon(once) == once


# Whatever the text, an answer: nothing is raised, nothing hangs.

COMMANDS = (
    r"\frac \sqrt \left \right \text{ \begin{pmatrix} \end{pmatrix} \pm \cup \in \sin \log_ \overline \{ \}"
)
COMMANDS += r" \{ \} \\ and or \infty \binom \mathbb{R} cm"
SIGNS = [*"0123456789.,;:+-*/^_(){}[]|!%$&<>=\\ xyzeiπ√½²∞≤∪°'\"", *COMMANDS.split()]


@given(st.lists(st.sampled_from(SIGNS), max_size=40).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        read(text)
    except (Unreadable, TooMuch, ZeroDivisionError):
        pass
    assert isinstance(canonical(text), str)
    assert readable(text) in (True, False)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_unicode_breaks_the_reader(text: str) -> None:
    assert isinstance(canonical(text), str)


DEEP = [
    "(" * 10_000,
    "(" * 900 + "1" + ")" * 900,
    r"\frac{" * 600,
    r"\sqrt{" * 500,
    "2^" * 900 + "2",
    "|" * 1000,
]
DEEP += [r"\begin{pmatrix}" * 200, r"\{" * 900, r"\sin" * 900, r"\log_{" * 300, "{1,2" * 500, "x" * 5000]


@pytest.mark.parametrize("text", DEEP, ids=lambda t: t[:12])
def test_deep_and_long_texts_are_past_a_limit_or_unreadable(text: str) -> None:
    with pytest.raises((TooMuch, Unreadable)):
        read(text)
    assert equal(text, "5", STRICT).same is None
    assert equal("5", text, STRICT).same is not True


HUGE = [
    "9^9^9^9",
    "10^{10^{10^{10}}}",
    "((((9^9)^9)^9)^9)^9",
    "(10^{9})!",
    r"\binom{10^9}{10^8}",
    r"\sin(9^{9^9})",
]


@pytest.mark.parametrize("text", HUGE)
def test_a_huge_number_is_never_written_down(text: str) -> None:
    assert equal(text, text.replace("^", " ^ "), STRICT).same is True
    assert equal("5", text, STRICT).same is not True
    assert equal(text, text + "+1", STRICT).same is not True


def test_nothing_is_ever_evaluated(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    evil = f"__import__('pathlib').Path('{flag}').touch()"
    for gold, said in ((evil, "5"), ("5", evil), (evil, "x" + evil), (f"({evil})^2", f"[{evil}]")):
        equal(gold, said, STRICT)
        canonical(evil)
    assert not flag.exists()


# Policies: each with its default and its other value.


@pytest.mark.parametrize(
    ("field", "other", "gold", "said", "usual"),
    [
        ("rounded", "equal", r"\frac13", "0.33", False),
        ("rounded", "equal", r"\pi", "3.14", False),
        ("percent", "either", r"50\%", "50", False),
        ("missing_unit", "different", r"5\text{ cm}", "5", True),
        ("missing_unit", "different", r"44^\circ", "44", True),
        ("degrees", "equal", r"\frac{\pi}{6}", "30", False),
        ("assignment", "different", "x = 5", "5", True),
        ("assignment", "different", "x=1, y=2", "(1, 2)", True),
    ],
)
def test_a_policy_turns_its_answer(field: str, other: str, gold: str, said: str, usual: bool) -> None:
    turned = MathEqual(**{field: other})  # type: ignore[arg-type]
    for left, right in ((gold, said), (said, gold)):
        assert equal(left, right, STRICT).same is usual
        assert equal(left, right, turned).same is not usual


@pytest.mark.parametrize(("gold", "said"), [(r"\frac13", "0.34"), (r"\pi", "3.15"), ("5", "5.1"), ("1", "2")])
def test_what_is_wrongly_rounded_is_wrong(gold: str, said: str) -> None:
    assert equal(gold, said, MathEqual(rounded="equal")).same is False


# Golds that rules cannot judge.


@pytest.mark.parametrize("gold", ["see figure", "the hypotenuse", r"\text{Devon}"])
def test_words_abstain_unless_they_are_the_same(gold: str) -> None:
    found = equal(gold, "4", STRICT)
    assert (found.same, found.why) == (None, "unsupported")
    assert equal(gold, f"**{gold}**.", STRICT).same is True
    assert not readable(gold)


@pytest.mark.parametrize("gold", ["", "   ", r"\frac{1}{", "+", r"\sqrt"])
def test_a_gold_that_is_no_answer_is_invalid(gold: str) -> None:
    assert equal(gold, "4", STRICT).why == "gold_invalid"


@pytest.mark.parametrize(
    ("gold", "said", "same"),
    [
        ("2024-03-01", "2020", None),
        ("2020", "2024-03-01", False),
        ("2024-03-01", "March 1, 2024", True),
        ("1 March 2024", "2024-03-01", True),
        ("2024-03-01", "2024-03-02", False),
        ("2024/03/01", "2024-03-01", True),
        ("1914-1918", "-4", None),
        ("1914-1918", "1914–1918", True),
        ("-4", "1914-1918", False),
        ("555-1234", "-679", None),
        ("100-3", "97", True),
        ("3 - 1", "2", True),
    ],
)
def test_dates_ranges_and_codes_are_no_differences(gold: str, said: str, same: bool | None) -> None:
    """A gold that is one goes to `Exact`; an answer that is one is no number."""
    assert equal(gold, said, MathEqual()).same is same
    assert Numeric().row({"response": f"\\boxed{{{said}}}", "answer": gold}).passed is not True or same


def test_dates_and_codes_have_keys_of_their_own() -> None:
    assert canonical("2024-03-01") == canonical("March 1, 2024") != canonical("2020")
    assert canonical("1914-1918") == canonical("1914–1918") != canonical("-4")


def test_the_canonical_key_is_one_for_what_is_cheaply_equal() -> None:
    assert len({canonical(t) for t in ("1/2", "0.5", r"\frac12", r"\dfrac{2}{4}", "$.50$")}) == 1
    assert canonical("x=5, y=3") != canonical("x=3, y=5")
    assert canonical(r"\{2, 1\}") == canonical("{1, 2}")
    assert canonical("(2, 1)") != canonical("(1, 2)")
    assert canonical("2x+1") == canonical("1+2x")


ROWS = [
    (r"so \boxed{(0, 1)} it is", "0 < x < 1", True),
    (r"\boxed{\text{(B)}}", "B", True),
    (r"The answer is \boxed{7 \text{ or } 8}", "8, 7", True),
    (r"I cannot say", "4", False),
    (None, "4", False),
    ("4", None, None),
]


@pytest.mark.parametrize(("response", "answer", "passed"), ROWS)
def test_a_whole_response_is_judged(response: str | None, answer: str | None, passed: bool | None) -> None:
    assert MathEqual().row({"response": response, "answer": answer}).passed is passed

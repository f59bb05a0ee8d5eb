"""What agrees in its digits is proved or refuted: constants by their bound, identities by expansion."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.maths import equal
from curate.maths.algebraic import is_zero
from curate.maths.answer import read
from curate.maths.canon import canon
from curate.maths.proof import proved
from curate.maths.tree import Node, add, mul, num, power
from curate.verifiers.math_equal import MathEqual

EQUAL = [
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"\sqrt{5+2\sqrt{6}}", r"\sqrt2+\sqrt3"),
    (r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "1"),
    (r"\frac{\sqrt2+\sqrt3}{\sqrt{11}-\sqrt{13}}", r"-\frac{(\sqrt2+\sqrt3)(\sqrt{11}+\sqrt{13})}{2}"),
    (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}"),
    (r"\tan 15^\circ", r"2-\sqrt3"),
    (r"\cos\frac{\pi}{7}\cos\frac{2\pi}{7}\cos\frac{4\pi}{7}", r"-\frac18"),
    (r"\frac{\pi}{\sqrt{2}-1}", r"\pi(\sqrt2+1)"),
    (r"\frac{1+i\sqrt3}{2}\cdot\frac{1-i\sqrt3}{2}", "1"),
    (r"(x+1)^{10}-(x-1)^{10}", r"20x^9+240x^7+504x^5+240x^3+20x"),
    (r"\frac{1}{\sqrt{x+1}-\sqrt{x}}", r"\sqrt{x+1}+\sqrt x"),
    (r"x^{1/4}x^{1/4}", r"\sqrt x"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\sin(x+y)", r"\sin x\cos y+\cos x\sin y"),
    (r"\tan^2 x+1", r"\sec^2 x"),
    (r"\cosh^2 x-\sinh^2 x", "1"),
    (r"\ln 12", r"2\ln 2+\ln 3"),
    (r"\log_2 10", r"1+\log_2 5"),
    (r"e^{x+y}", "e^x e^y"),
    (r"2^{n+1}+2^n", r"3\cdot 2^n"),
    (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
    (r"\frac{(n+2)!}{n!}", "n^2+3n+2"),
]  # fmt: skip
UNREFUTED = {  # of these the proof can say yes, and never no
    r"\frac{1}{\sqrt{x+1}-\sqrt{x}}",
    r"\sin^2 x+\cos^2 x",
    r"\sin 2x",
    r"\sin(x+y)",
    r"\tan^2 x+1",
    r"\cosh^2 x-\sinh^2 x",
    r"\log_2 10",
    r"\binom{n}{2}",
    r"\frac{(n+2)!}{n!}",
}
NOT_PROVED = [(r"\arctan 1", r"\frac{\pi}{4}"), (r"\ln(x^2+2x+1)", r"2\ln(x+1)")]


def tree(text: str) -> Node:
    return canon(read(text))


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_an_identity_is_proved_both_ways(a: str, b: str) -> None:
    assert proved(tree(a), tree(b)) is True
    assert proved(tree(b), tree(a)) is True


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_an_identity_that_is_off_by_a_little_is_refuted_where_it_can_be(a: str, b: str) -> None:
    off = canon(add(tree(b), num(10) if "x" in a else power(num(10), num(-300))))
    assert proved(tree(a), off) is (None if a in UNREFUTED else False)


@pytest.mark.parametrize(("a", "b"), NOT_PROVED)
def test_what_is_beyond_the_proof_rests_on_its_digits(a: str, b: str) -> None:
    assert proved(tree(a), tree(b)) is None
    assert equal(a, b, MathEqual()).same is True


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(150, 400))
def test_a_root_is_not_its_own_decimal_however_long(square: int, places: int) -> None:
    with localcontext(prec=places + 10):
        digits = str(Decimal(square).sqrt().quantize(Decimal(10) ** -places))
        exact = Decimal(digits) ** 2 == square
    assert equal(rf"\sqrt{{{square}}}", digits, MathEqual()).same is exact


WHOLE = st.integers(1, 60)


@settings(deadline=None)
@given(WHOLE, WHOLE)
def test_nested_roots_are_taken_apart(a: int, b: int) -> None:
    nested = rf"\sqrt{{{a + b}+2\sqrt{{{a * b}}}}}"
    assert proved(tree(nested), tree(rf"\sqrt{{{a}}}+\sqrt{{{b}}}")) is True


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(2, 30), st.integers(2, 3)), min_size=1, max_size=4))
def test_a_sum_of_roots_less_itself_is_zero_unless_a_speck_is_added(
    roots: list[tuple[int, int, int]],
) -> None:
    terms = [mul(num(c), power(num(n), num(Fraction(1, k)))) for c, n, k in roots]
    total = add(*terms)
    negative = [mul(num(-1), t) for t in terms]
    assert is_zero(add(total, *negative)) is True
    assert is_zero(add(total, *negative, power(num(10), num(-200)))) is False


COEFFICIENTS = st.lists(st.integers(-5, 5), min_size=1, max_size=4)


@settings(deadline=None)
@given(COEFFICIENTS, COEFFICIENTS)
def test_a_product_of_polynomials_is_its_expansion(a: list[int], b: list[int]) -> None:
    def poly(values: list[int]) -> str:
        return "(" + "+".join(f"({v})x^{n}" for n, v in enumerate(values)) + ")"

    expanded = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            expanded[i + j] += x * y
    assert proved(tree(poly(a) + poly(b)), tree(poly(expanded))) is True
    expanded[0] += 1
    assert proved(tree(poly(a) + poly(b)), tree(poly(expanded))) is False


def test_a_proof_that_would_take_too_long_is_not_tried() -> None:
    roots = [power(num(p), num(Fraction(1, 2))) for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)]
    assert is_zero(add(*roots, *(mul(num(-1), r) for r in roots))) is None
    long = "(a+b+c+d+f+g)"
    assert proved(tree(f"{long}^{{30}}"), tree(f"{long}^{{29}}(a+b+c+d+f+g+0)+1-1")) in (True, None)
    assert proved(tree(rf"({long}^{{15}}+1)^2"), tree(rf"{long}^{{30}}+2{long}^{{15}}+1")) is None
    assert equal(rf"({long}^{{15}}+1)^2", rf"{long}^{{30}}+2{long}^{{15}}+1", MathEqual()).same is True


def test_numbers_that_grow_without_end_are_given_up() -> None:
    root = power(num(10**50 + 3), num(Fraction(10_001, 2)))
    nested, plain = tree(r"(\sqrt2+\sqrt3)^2"), tree(r"5+2\sqrt6")
    assert proved(nested, plain) is True
    assert proved(canon(mul(root, nested)), canon(mul(root, plain))) is None

r"""Families of answers, right and wrong by construction, for anybody's grader.

A family draws numbers and writes one answer in several spellings (`right`: any two are equal) and near misses
(`wrong`: each differs from every right one). The near misses are the mistakes people and models make: a sign,

a digit, an order, a bracket, a unit, a base, an exponent, an element too few or too many.
"""

# fmt: off
from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import gcd
from typing import NamedTuple

from hypothesis import strategies as st


class Family(NamedTuple):
    """One answer: its spellings, and texts that are other answers."""

    right: list[str]
    wrong: list[str]


FAMILIES: dict[str, st.SearchStrategy[Family]] = {}


def family(**given: st.SearchStrategy[int]) -> Callable[[Callable[..., tuple[Iterable[str],
    Iterable[str]]]], None]:
    """Register a function of drawn numbers that answers (right, wrong)."""

    def register(make: Callable[..., tuple[Iterable[str], Iterable[str]]]) -> None:
        def build(**drawn: int) -> Family:
            right, wrong = make(**drawn)
            return Family(list(dict.fromkeys(right)), [w for w in dict.fromkeys(wrong) if w not in right])

        FAMILIES[make.__name__] = st.builds(build, **given)

    return register


def ints(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


digit, small, big = ints(2, 9), ints(2, 40), ints(1001, 9_999_999)


def frac(value: Fraction) -> str:
    """LaTeX of a rational number in lowest terms."""
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def others(value: Fraction, near: Iterable[Fraction]) -> list[str]:
    return [frac(n) for n in near if n != value]


@family(n=ints(-500, 5000))
def integers(n: int):
    right = [f"{n}", f"${n}$", f"\\({n}\\)", f"\\[ {n} \\]", f"\\mathbf{{{n}}}", f"{n}.0", f"{{{n}}}",
             f"\\text{{{n}}}", f"{n}.", f"**{n}**", f"\\displaystyle {n}", f"\\frac{{{2 * n}}}{{2}}"]
    return right, [f"{n + 1}", f"{n - 1}", f"{-n - 1}", f"{n}.5", f"{n}0" if n else "10",
        f"{n}^2" if n not in (0, 1) else "7"]


@family(n=ints(0, 999))
def leading_zeros(n: int):
    return [f"{n:03d}", f"{n}", f"\\text{{{n:03d}}}"], [f"{n + 1:03d}", f"{n * 10 + 1}", f"{n + 100}"]


@family(p=small, q=small)
def rationals(p: int, q: int):
    v = Fraction(p, q)
    right = [frac(v), f"{p}/{q}", f"\\frac{{{p}}}{{{q}}}", f"\\dfrac{{{p}}}{{{q}}}",
        f"\\tfrac{{{p}}}{{{q}}}",
             f"\\frac{{{3 * p}}}{{{3 * q}}}", f"\\frac{{-{p}}}{{-{q}}}", f"{{{p}}}/{{{q}}}",
             f"{p} \\div {q}",
             f"\\left(\\frac{{{p}}}{{{q}}}\\right)", f"{p}\\cdot\\frac{{1}}{{{q}}}", f"{p} / {q}",
             f"{{{p} \\over {q}}}",
             f"\\frac {{{p}}} {{{q}}}", f"\\cfrac{{{p}}}{{{q}}}"]
    return right, others(v, [1 / v, -v, v + 1, Fraction(p + 1, q), Fraction(p, q + 1)])


@family(p=digit, q=digit)
def bare_fracs(p: int, q: int):
    v = Fraction(p, q)
    return [f"\\frac{p}{q}", f"\\frac{p}{{{q}}}", frac(v), f"-\\frac{{-{p}}}{{{q}}}"], others(v, [1 / v, -v,
        v * 10])


@family(n=ints(1, 999), places=ints(1, 3))
def decimals(n: int, places: int):
    v = Fraction(n, 10**places)
    text = f"{n / 10**places:.{places}f}"
    right = [text, text + "0", frac(v), f"{n}/{10**places}", f"{n}\\times 10^{{-{places}}}"]
    right += [text[1:]] if text.startswith("0.") else []
    return right, [f"-{text}", text + "1", *others(v, [v * 10, v / 10, v + 1])]


@family(n=ints(1, 200))
def rounded(n: int):
    v = Fraction(n, 7)
    return [frac(v)] + [f"{n}/7"], [f"{n / 7:.{p}f}" for p in (1, 2, 3, 5)] if n % 7 else [f"{n}"]


@family(w=small, p=digit, q=ints(11, 30))
def mixed_numbers(w: int, p: int, q: int):
    v = w + Fraction(p, q)
    right = [f"{w}\\frac{{{p}}}{{{q}}}", f"{w} \\frac{{{p}}}{{{q}}}", f"{w} {p}/{q}", frac(v),
        f"{w}+\\frac{{{p}}}{{{q}}}",
             f"{w}\\,\\frac{{{p}}}{{{q}}}", f"{w} \\dfrac{{{p}}}{{{q}}}"]
    return right, [frac(Fraction(w * p, q)), frac(-v), f"{w} {p}/{q + 1}", f"{w + 1}\\frac{{{p}}}{{{q}}}",
        f"-{w}\\frac{{{p}}}{{{q}}}"]


@family(w=digit, p=digit, q=ints(11, 30))
def negative_mixed(w: int, p: int, q: int):
    v = -(w + Fraction(p, q))
    return [f"-{w}\\frac{{{p}}}{{{q}}}", frac(v), f"-{w} {p}/{q}"], others(v, [-w + Fraction(p, q), -v,
        v - 1])


@family(n=big)
def thousands(n: int):
    c = f"{n:,}"
    right = [str(n), c, c.replace(",", "{,}"), c.replace(",", ",\\!"), c.replace(",", "\\,"), c.replace(",",
        " "),
             c.replace(",", "\\ "), f"{c}.00", c.replace(",", "\u202f")]
    return right, [f"{n + 1:,}", f"{n * 10:,}", c[:-1], f"{n // 10}", f"-{c}",
        f"({', '.join(c.split(','))})", c + "0", c[:-3] + "0" + c[-3:]]


@family(n=ints(1, 299), half=ints(0, 1))
def percents(n: int, half: int):
    v = Fraction(2 * n + half, 200)
    shown = f"{n}.5" if half else f"{n}"
    right = [f"{shown}\\%", f"{shown}%", f"{shown} \\%", frac(v), f"{shown} percent",
        f"{shown}\\text{{ percent}}", f"{float(v)}"]
    return right, [f"{n + 1}\\%", f"-{shown}\\%", frac(v * 10), f"{float(v) * 10:.4f}",
        f"0.{shown}\\%" if not half else "999\\%"]


@family(d=ints(1, 9999), c=ints(0, 99))
def money(d: int, c: int):
    text = f"{d}.{c:02d}"
    right = [text, f"\\${text}", f"${text}", f"\\$ {text}", f"${d:,}.{c:02d}", f"{text} dollars",
        f"{text}\\text{{ dollars}}", f"USD {text}"]
    right += [f"\\${d}", f"${d}$ dollars"] if c == 0 else []
    return right, [f"\\${d + 1}.{c:02d}", f"\\${d}.{(c + 1) % 100:02d}", f"-\\${text}",
        f"\\${d * 10}.{c:02d}"]


@family(a=digit, b=ints(3, 9))
def ratios(a: int, b: int):
    g = gcd(a, b)
    a, b = a // g, b // g
    right = [f"{a}:{b}", f"{a} : {b}", f"{a}\\colon {b}", f"{2 * a}:{2 * b}", f"{a} \\text{{ to }} {b}",
        f"{a} to {b}", f"\\frac{{{a}}}{{{b}}}"]
    return right, [f"{b}:{a}", f"{a + b}:{b}", f"{a}:{b + a * b}", f"{a}:{b}:1"]


@family(a=digit, b=digit, c=digit)
def triple_ratios(a: int, b: int, c: int):
    return [f"{a}:{b}:{c}", f"{a} : {b} : {c}", f"{2 * a}:{2 * b}:{2 * c}"], [f"{a}:{b}:{c + 1}",
        f"{a + 1}:{b}:{c}", f"{a}:{b}"]


@family(n=ints(20, 3000), base=ints(3, 8))
def bases(n: int, base: int):
    digits, m = "", n
    while m:
        digits, m = str(m % base) + digits, m // base
    right = [f"{digits}_{base}", f"{digits}_{{{base}}}", f"({digits})_{{{base}}}",
        f"{digits}_{{\\text{{{base}}}}}"]
    return right, [f"{digits}_{{{base + 1}}}", f"{digits}0_{{{base}}}", f"{digits[:-1]}_{{{base}}}"]


@family(n=ints(16, 4000))
def other_bases(n: int):
    return [f"{n:b}_2", f"{n:b}_{{2}}", f"{n}_{{10}}", f"{n:X}_{{16}}", f"{n:o}_8"], [f"{n + 1:b}_2",
        f"{n:b}_{{3}}", f"{n + 1:X}_{{16}}"]


@family(w=ints(0, 9), r=ints(1, 98))
def repeating(w: int, r: int):
    if r % 11 == 0:
        r += 1
    v = w + Fraction(r, 99)
    right = [f"{w}.\\overline{{{r:02d}}}", f"{w}.{r:02d}\\overline{{{r:02d}}}", frac(v),
        f"{w}.\\overline{{{r:02d}{r:02d}}}",
             f"{w}.\\overline{{ {r:02d} }}"]
    return right, [f"{w}.{r:02d}", f"{w}.0\\overline{{{r:02d}}}", frac(w + Fraction(r, 100)),
        f"{w}.\\overline{{{r + 1:02d}}}", frac(-v)]


@family(n=ints(1, 359))
def degrees(n: int):
    right = [f"{n}^\\circ", f"{n}^{{\\circ}}", f"{n}°", f"{n} degrees", f"{n}\\text{{ degrees}}",
        f"{n}\\degree", f"{n}", f"{n}^{{\\circ}}\\text{{.}}"]
    return right, [f"{n + 1}^\\circ", f"-{n}^\\circ", f"{n} \\text{{ radians}}", f"{n}\\pi"]


@family(n=ints(2, 7), k=ints(1, 2))
def angles(n: int, k: int):
    k = 1 if gcd(k, n) > 1 else k
    top = "\\pi" if k == 1 else f"{k}\\pi"
    right = [f"\\frac{{{top}}}{{{n}}}", f"\\frac{{{k}}}{{{n}}}\\pi", f"{top}/{n}",
        f"\\frac{{{top}}}{{{n}}}\\text{{ radians}}", f"\\frac{{{top}}}{{{n}}} \\text{{ rad}}"]
    return right, [f"\\frac{{{top}}}{{{n + 1}}}", f"-\\frac{{{top}}}{{{n}}}", f"\\frac{{{k}}}{{{n}}}",
        f"\\frac{{{n}}}{{{top}}}", f"{180 * k // n + 1}"]

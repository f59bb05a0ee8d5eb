r"""Families of numbers in closed form: roots, angles, logarithms, factorials, powers."""

# fmt: off
from __future__ import annotations

from math import comb, factorial

from families import digit, family, ints, small


@family(a=ints(-9, 9), b=digit)
def complex_numbers(a: int, b: int):
    right = [f"{a}+{b}i", f"{b}i+{a}" if a >= 0 else f"{b}i{a}", f"{a} + {b} i", f"{a}+i{b}",
        f"{a}+{b}\\mathrm{{i}}", f"{a}+{b}\\cdot i", f"i({b}-{a}i)" if a > 0 else f"i({b}+{-a}i)",
        f"{a}+{b}\\imath"]
    return right, [f"{a}-{b}i", f"{-a - 1}+{b}i", f"{b}+{a - 20}i", f"{a}+{b}", f"{a}+{b + 1}i",
        f"{b}i" if a else "1+i"]


@family(n=small, f=digit)
def roots(n: int, f: int):
    n = n if all(n % (k * k) for k in range(2, 7)) and n not in (1, 4, 9, 16, 25, 36) else 7
    right = [f"{f}\\sqrt{{{n}}}", f"\\sqrt{{{f * f * n}}}", f"{f} \\sqrt{{{n}}}", f"{f}\\cdot\\sqrt{{{n}}}",
        f"{f} \\times \\sqrt{{{n}}}",
             f"\\frac{{{f * n}}}{{\\sqrt{{{n}}}}}", f"{f}√{n}", f"{f}({n})^{{1/2}}",
             f"{f}\\cdot {n}^{{\\frac{{1}}{{2}}}}", f"{f}*sqrt({n})", f"{f}sqrt{{{n}}}"]
    return right, [f"{f + 1}\\sqrt{{{n}}}", f"{f}\\sqrt{{{n + 1}}}", f"-{f}\\sqrt{{{n}}}",
        f"{f}\\sqrt[3]{{{n}}}", f"{f}+\\sqrt{{{n}}}", f"\\sqrt{{{f * n}}}", f"{f * n}", f"{f * n**0.5:.3f}"]


@family(a=digit, b=ints(2, 3))
def cube_roots(a: int, b: int):
    a = 7 if a == 8 else a
    right = [f"{b}\\sqrt[3]{{{a}}}", f"\\sqrt[3]{{{a * b**3}}}", f"{b}\\cdot {a}^{{1/3}}",
        f"{b}\\cdot {a}^{{\\frac13}}"]
    return right, [f"{b}\\sqrt{{{a}}}", f"\\sqrt[3]{{{a * b}}}", f"-{b}\\sqrt[3]{{{a}}}",
        f"{b}\\sqrt[3]{{{a + 1}}}"]


@family(a=digit, b=ints(1, 8))
def conjugates(a: int, b: int):
    c = a * a + b
    right = [f"\\sqrt{{{c}}}-{a}", f"-{a}+\\sqrt{{{c}}}", f"\\frac{{{b}}}{{\\sqrt{{{c}}}+{a}}}",
        f"\\frac{{{b}}}{{{a}+\\sqrt{{{c}}}}}"]
    return right, [f"\\sqrt{{{c}}}+{a}", f"{a}-\\sqrt{{{c}}}", f"\\sqrt{{{c - a}}}",
        f"\\frac{{{b}}}{{\\sqrt{{{c}}}-{a}}}"]


@family(n=small)
def plus_minus(n: int):
    right = [f"\\pm {n}", f"\\pm{n}", f"±{n}", f"{n}, -{n}", f"-{n}, {n}", f"{n} \\text{{ and }} -{n}",
        f"x = \\pm {n}", f"\\{{-{n}, {n}\\}}", f"{n} \\text{{ or }} -{n}"]
    return right, [f"{n}", f"-{n}", f"\\pm {n + 1}", f"{n}, -{n}, 0", f"{n}, {n + 1}"]


@family(a=digit, b=digit)
def plus_minus_roots(a: int, b: int):
    b = 7 if b in (4, 9) else b
    right = [f"{a}\\pm\\sqrt{{{b}}}", f"{a}+\\sqrt{{{b}}}, {a}-\\sqrt{{{b}}}",
        f"\\frac{{{2 * a}\\pm\\sqrt{{{4 * b}}}}}{{2}}", f"\\{{{a}-\\sqrt{{{b}}}, {a}+\\sqrt{{{b}}}\\}}"]
    return right, [f"{a}+\\sqrt{{{b}}}", f"-{a}\\pm\\sqrt{{{b}}}", f"{a}\\pm\\sqrt{{{b + 1}}}",
        f"\\pm\\sqrt{{{b}}}"]


@family(a=digit)
def trig_values(a: int):
    right = [f"\\frac{{{a}\\sqrt{{3}}}}{{2}}", f"{a}\\sin 60^\\circ", f"{a}\\cos\\frac{{\\pi}}{{6}}",
        f"{a}\\sin\\left(\\frac{{\\pi}}{{3}}\\right)", f"\\frac{{{a}}}{{2}}\\sqrt{{3}}",
        f"{a}\\cos 30^{{\\circ}}"]
    return right, [f"\\frac{{{a}\\sqrt{{2}}}}{{2}}", f"{a}\\sin 60", f"{a}\\sin\\frac{{\\pi}}{{6}}",
        f"\\frac{{{a}}}{{2}}", f"{a}\\tan 60^\\circ"]


@family(a=digit, b=digit)
def logs(a: int, b: int):
    right = [f"\\ln {a}+\\ln {b}", f"\\ln({a * b})", f"\\ln {a * b}", f"\\log_e {a * b}",
        f"\\ln\\left({a * b}\\right)", f"-\\ln\\frac{{1}}{{{a * b}}}"]
    return right, [f"\\ln {a + b}", f"\\ln {a * b + 1}", f"\\ln {a}\\cdot\\ln {b}", f"\\log_{{2}} {a * b}",
        f"\\log_{{10}} {a * b}", f"-\\ln {a * b}"]


@family(a=digit, b=ints(2, 5))
def log_bases(a: int, b: int):
    right = [f"\\log_{b} {a + 20}", f"\\log_{{{b}}}{{{a + 20}}}", f"\\log_{{{b}}}({a + 20})",
        f"\\frac{{\\ln {a + 20}}}{{\\ln {b}}}", f"\\frac{{\\log {a + 20}}}{{\\log {b}}}"]
    return right, [f"\\log_{{{b + 1}}} {a + 20}", f"\\log_{{{b}}} {a + 21}", f"\\log_{{{a + 20}}} {b}",
        f"\\ln {a + 20}"]


@family(n=ints(4, 20), k=ints(2, 3))
def factorials(n: int, k: int):
    right = [f"\\binom{{{n}}}{{{k}}}", f"{comb(n, k)}", f"\\frac{{{n}!}}{{{k}!{n - k}!}}",
        f"\\frac{{{n}!}}{{{k}!\\cdot({n - k})!}}", f"\\dbinom{{{n}}}{{{k}}}", f"{{{n} \\choose {k}}}",
        f"C({n},{k})", f"\\frac{{{n}!}}{{({n}-{k})!{k}!}}"]
    return right, [f"\\binom{{{n + 1}}}{{{k}}}", f"{comb(n, k) + 1}", f"\\frac{{{n}!}}{{{k}!}}",
        f"\\frac{{{n}}}{{{k}}}", f"({n},{k})"]


@family(n=ints(5, 30))
def big_powers(n: int):
    right = [f"{factorial(n)}", f"{n}!", f"{n}\\cdot {n - 1}!", f"{n - 1}! \\times {n}"]
    return right, [f"{n - 1}!", f"{factorial(n) + 1}", f"({n}!)!", f"{n}", f"{n}^{{{n}}}"]


@family(n=ints(150, 3000))
def tiny_and_vast(n: int):
    """Values beyond floating point, on both sides."""
    right = [f"\\frac{{1}}{{{n}!}}", f"({n}!)^{{-1}}", f"\\frac{{{n + 1}}}{{{n + 1}!}}",
        f"\\frac{{1}}{{{n} \\cdot {n - 1}!}}"]
    return right, [f"\\frac{{1}}{{{n + 1}!}}", f"-\\frac{{1}}{{{n}!}}", "0", f"{n}", f"{n}!",
        f"\\frac{{2}}{{{n}!}}", f"{n}"]


@family(a=ints(2, 9), b=ints(40, 90))
def powers(a: int, b: int):
    right = [f"{a}^{{{b}}}", f"{a**b}", f"{a}^{{{b - 1}}}\\cdot {a}", f"{a} \\times {a}^{{{b - 1}}}",
        f"{a}**{b}", f"\\frac{{{a}^{{{b + 1}}}}}{{{a}}}"]
    return right, [f"{a}^{{{b + 1}}}", f"{a**b + 1}", f"{b}^{{{a}}}", f"{a}^{{-{b}}}", f"{a}{b}"]


@family(m=ints(11, 99), e=ints(2, 12))
def scientific(m: int, e: int):
    x = f"{m / 10:.1f}"
    right = [f"{x}\\times 10^{{{e}}}", f"{x} \\times 10^{e}" if e < 10 else f"{x} × 10^{{{e}}}",
        f"{m * 10 ** (e - 1)}", f"{x}e{e}", f"{x}\\cdot10^{{{e}}}", f"{m}\\times10^{{{e - 1}}}",
        f"{x} x 10^{{{e}}}", f"{x}E+{e:02d}", f"{x}*10^{e}"]
    return right, [f"{x}\\times 10^{{{e + 1}}}", f"{x}\\times 10^{{-{e}}}",
        f"{(m + 1) / 10:.1f}\\times 10^{{{e}}}", f"{x}", f"-{x}\\times 10^{{{e}}}"]

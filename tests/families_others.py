r"""Families of general solutions, formulas of physics, units, times, cases, congruences and written sums."""

# fmt: off
from __future__ import annotations

from fractions import Fraction

from families import big, digit, family, frac, ints, small
from hypothesis import strategies as st


@family(a=ints(2, 9))
def general_solutions(a: int):
    right = [f"x=\\frac{{\\pi}}{{{a}}}+2k\\pi", f"\\frac{{\\pi}}{{{a}}}+2\\pi k",
        f"x=2\\pi k+\\frac{{\\pi}}{{{a}}}, k\\in\\mathbb{{Z}}",
        f"\\frac{{\\pi}}{{{a}}}+2k\\pi \\quad (k \\in \\mathbb{{Z}})"]
    return right, [f"x=\\frac{{\\pi}}{{{a}}}+k\\pi", f"x=-\\frac{{\\pi}}{{{a}}}+2k\\pi",
        f"x=\\frac{{\\pi}}{{{a + 1}}}+2k\\pi", f"\\frac{{\\pi}}{{{a}}}"]


@family(a=ints(2, 9), b=ints(10, 20))
def constants_of_integration(a: int, b: int):
    right = [f"{a}x^2+{b}x+C", f"{b}x+{a}x^2+C", f"{a}x^{{2}}+{b}x+c"]
    return right, [f"{a}x^2-{b}x+C", f"{a}x^2+C", f"{a + 1}x^2+{b}x+C"]


@family(v=ints(1, 9), a=ints(2, 9))
def physics(v: int, a: int):
    right = [f"\\frac{{m v^{{2}}}}{{{a} R}}", f"\\frac{{1}}{{{a}}}\\frac{{mv^2}}{{R}}",
        f"\\frac{{mv^2}}{{{a}R}}", f"F=\\frac{{m v^2}}{{{a}R}}", f"mv^2/({a}R)"]
    return right, [f"\\frac{{mv}}{{{a}R}}", f"\\frac{{mv^2}}{{{a + 1}R}}", f"\\frac{{mv^2}}{{{a}R^2}}",
        f"\\frac{{{a}mv^2}}{{R}}", f"\\frac{{mv^2}}{{{a}r}}"]


@family(a=ints(2, 9), b=ints(2, 9))
def greek_formulas(a: int, b: int):
    right = [f"\\omega=\\sqrt{{\\frac{{{a}k}}{{m}}}}", f"\\sqrt{{\\frac{{{a} k}}{{m}}}}",
        f"\\sqrt{{{a}k/m}}", f"\\left(\\frac{{{a}k}}{{m}}\\right)^{{1/2}}",
        f"\\sqrt{{{a}}}\\sqrt{{\\frac{{k}}{{m}}}}"]
    return right, [f"\\sqrt{{\\frac{{{a}m}}{{k}}}}", f"\\sqrt{{\\frac{{{a + 1}k}}{{m}}}}",
        f"\\frac{{{a}k}}{{m}}", f"{a}\\sqrt{{\\frac{{k}}{{m}}}}", f"\\sqrt{{\\frac{{k}}{{{a}m}}}}"]


UNITS = [("m", 1, "cm", 100), ("km", 1, "m", 1000), ("kg", 1, "g", 1000), ("h", 1, "min", 60), ("min", 1,
    "s", 60),
         ("L", 1, "mL", 1000), ("m^2", 1, "cm^2", 10000), ("kJ", 1, "J", 1000), ("km/h", 18, "m/s",
             5), ("kN", 1, "N", 1000)]


@family(n=small, k=st.integers(0, len(UNITS) - 1))
def units(n: int, k: int):
    one, f, other, g = UNITS[k]
    n = n * f
    m = n * g // f
    right = [f"{n} {one}", f"{n}\\text{{ {one}}}".replace("^2}", "}^2"), f"{n}\\ \\mathrm{{{one}}}",
        f"{m} {other}", f"{n} \\mathrm{{~{one}}}", f"{m} \\, \\text{{{other}}}".replace("^2}", "}^2")]
    wrong = [f"{n + 1} {one}", f"{n} {other}", f"{m} {one}", f"-{n} {one}", f"{n} K", f"{m * 10} {other}"]
    return right, wrong


@family(n=small)
def counted(n: int):
    return [f"{n}", f"{n} apples", f"{n}\\text{{ apples}}"], [f"{n + 1} apples", f"-{n} apples",
        f"{n}0 apples"]


@family(h=ints(1, 12), m=ints(10, 59))
def times(h: int, m: int):
    right = [f"{h}:{m} \\text{{ p.m.}}", f"{h}:{m} PM", f"{h}:{m}\\text{{ pm}}"]
    return right, [f"{h}:{(m - 9) % 50 + 10} PM" if (m - 9) % 50 + 10 != m else "1:01 PM",
        f"{h % 12 + 1}:{m} PM", f"{h}:{m} AM", f"{h}:{m}\\text{{ a.m.}}"]


@family(a=ints(1, 9), b=ints(10, 20))
def piecewise(a: int, b: int):
    right = [f"\\begin{{cases}} {a}x & x<0 \\\\ {b}x & x\\ge 0 \\end{{cases}}",
        f"\\begin{{cases}} {a}x, & x<0 \\\\ {b}x, & x\\geq 0 \\end{{cases}}",
        f"\\begin{{cases}}{a}x&\\text{{if }}x<0\\\\{b}x&\\text{{if }}x\\ge0\\end{{cases}}",
        f"f(x)=\\begin{{cases}} {a}x & x<0 \\\\ {b}x & x\\ge 0 \\end{{cases}}"]
    return right, [f"\\begin{{cases}} {b}x & x<0 \\\\ {a}x & x\\ge 0 \\end{{cases}}",
        f"\\begin{{cases}} {a}x & x<0 \\\\ {b + 1}x & x\\ge 0 \\end{{cases}}", f"{a}x",
        f"\\begin{{cases}} {a}x & x<1 \\\\ {b}x & x\\ge 1 \\end{{cases}}"]


@family(n=ints(2, 9), r=ints(1, 8))
def congruences(n: int, r: int):
    r, n = min(r, n), n + 1
    right = [f"x \\equiv {r} \\pmod{{{n}}}", f"x \\equiv {r} \\pmod {n}", f"x\\equiv {r} (\\bmod {n})"]
    return right, [f"x \\equiv {r + 1} \\pmod{{{n}}}", f"x \\equiv {r} \\pmod{{{n + 1}}}"]


@family(a=ints(1, 9), b=ints(10, 20))
def absolute_values(a: int, b: int):
    right = [f"|x-{a}|+{b}", f"\\left|x-{a}\\right|+{b}", f"{b}+\\lvert x-{a}\\rvert",
        f"\\left|{a}-x\\right|+{b}", f"\\vert x-{a} \\vert + {b}"]
    return right, [f"|x+{a}|+{b}", f"|x-{a}|-{b}", f"x-{a}+{b}", f"|x-{a}+{b}|"]


@family(a=ints(1, 9), b=ints(10, 20))
def nested_sets(a: int, b: int):
    right = [f"({a}, {b}), ({b}, {a})", f"\\{{({a},{b}),({b},{a})\\}}", f"({b},{a}),({a},{b})",
        f"({a}, {b}) \\text{{ and }} ({b}, {a})", f"({a},{b}) and ({b},{a})", f"(x,y)=({a},{b}),({b},{a})",
        f"\\left({a},{b}\\right), \\left({b},{a}\\right)", f"(x,y) = ({a},{b}) \\text{{ or }} ({b},{a})"]
    return right, [f"({a}, {b})", f"({a}, {b}), ({a}, {b})", f"({a}, {b}), ({b}, {a}), (0,0)",
        f"({a}, {b}), ({b}, {a + 1})", f"({a},{b},{b},{a})"]


@family(n=ints(2, 9), k=ints(2, 5))
def sequences(n: int, k: int):
    right = [f"a_n={n}n+{k}", f"{n}n+{k}", f"a_{{n}} = {k}+{n}n", f"{n}(n+1)-{n - k}".replace("--",
        "+").replace("-0", "+0")]
    return right, [f"a_n={n}n-{k}", f"a_n={n + 1}n+{k}", f"{n}^n+{k}", f"a_n={n}(n+1)+{k}"]


@family(n=ints(2, 9), a=digit)
def sums_written_out(n: int, a: int):
    right = [f"\\sum_{{k=1}}^{{{n}}} {a}k", f"{a * n * (n + 1) // 2}", f"{a}\\sum_{{i=1}}^{{{n}}} i"]
    return right, [f"\\sum_{{k=1}}^{{{n + 1}}} {a}k", f"{a * n * (n + 1) // 2 + 1}",
        f"\\sum_{{k=1}}^{{{n}}} {a + 1}k"]


@family(n=ints(2, 9))
def floors(n: int):
    right = [f"\\lfloor {n}.7 \\rfloor", f"{n}", f"\\left\\lfloor {n}.2 \\right\\rfloor",
        f"\\lceil {n}-0.3 \\rceil"]
    return right, [f"\\lceil {n}.7 \\rceil", f"{n}.7", f"\\lfloor {n - 1}.9 \\rfloor"]


@family(n=ints(2, 9), m=ints(10, 40))
def nested_radicals(n: int, m: int):
    m = m + 1 if round(m**0.5) ** 2 == m else m
    right = [f"\\sqrt{{{n * n + m}+{2 * n}\\sqrt{{{m}}}}}", f"{n}+\\sqrt{{{m}}}", f"\\sqrt{{{m}}}+{n}"]
    return right, [f"\\sqrt{{{n * n + m}-{2 * n}\\sqrt{{{m}}}}}", f"{n}-\\sqrt{{{m}}}",
        f"{n + 1}+\\sqrt{{{m}}}", f"\\sqrt{{{n * n + m}}}+{2 * n}\\sqrt{{{m}}}"]


@family(n=big)
def near_by_digits(n: int):
    """A number and the same with two digits swapped, one dropped, one doubled."""
    t = str(n)
    return [t, f"{n:,}",
        f"\\boxed{{{t}}}"], [t[1] + t[0] + t[2:] if t[0] != t[1] and t[1] != "0" else t + "1", t[:-1],
        t + t[-1], "1" + t, f"{n:,}".replace(",", ".", 1) if n < 999_999 else f"-{n}"]


@family(a=digit, b=digit, c=digit)
def exact_values(a: int, b: int, c: int):
    """Sums of a rational and a root, over a common denominator and apart."""
    c = c + 1
    right = [f"\\frac{{{a}+{b}\\sqrt{{7}}}}{{{c}}}",
        f"{frac(Fraction(a, c))}+\\frac{{{b}\\sqrt{{7}}}}{{{c}}}", f"\\frac{{{b}\\sqrt{{7}}+{a}}}{{{c}}}",
        f"\\frac{{1}}{{{c}}}({a}+{b}\\sqrt{{7}})", f"({a}+{b}\\sqrt{{7}})/{c}"]
    return right, [f"\\frac{{{a}-{b}\\sqrt{{7}}}}{{{c}}}", f"\\frac{{{a}+{b}\\sqrt{{7}}}}{{{c + 1}}}",
        f"{a}+\\frac{{{b}\\sqrt{{7}}}}{{{c}}}" , f"\\frac{{{a + b}\\sqrt{{7}}}}{{{c}}}",
        f"{(a + b * 7**0.5) / c:.4f}"]

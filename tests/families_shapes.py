r"""Families of answers with a shape: sets, tuples, intervals, equations, matrices, formulas, units."""

# fmt: off
from __future__ import annotations

from fractions import Fraction

from families import big, digit, family, frac, ints, small
from hypothesis import strategies as st


def fix(text: str) -> str:
    """3x+-2 is 3x-2, and 1x is x where nobody would write the 1."""
    return text.replace("+-", "-").replace("--", "+")


@family(a=ints(-9, 9), b=ints(10, 30), c=ints(31, 60))
def sets(a: int, b: int, c: int):
    right = [f"\\{{{a}, {b}, {c}\\}}", f"\\{{{c}, {a}, {b}\\}}", f"\\left\\{{{b},{a},{c}\\right\\}}", f"{a}, {b}, {c}", f"{{{a}, {b}, {c}}}",
             f"\\lbrace {a}, {b}, {c} \\rbrace", f"{a},{c},{b}", f"\\{{{a},{b},{c},{a}\\}}", f"{a}, {b} and {c}", f"{a}, {b}, \\text{{ and }} {c}"]
    wrong = [f"\\{{{a}, {b}\\}}", f"\\{{{a}, {b}, {c + 1}\\}}", f"\\{{{a}, {b}, {c}, 99\\}}", f"\\{{{a - 20}, {b}, {c}\\}}", f"{a + b + c + 7}", "\\emptyset"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30))
def tuples(a: int, b: int):
    right = [f"({a}, {b})", f"({a},{b})", f"\\left({a}, {b}\\right)", f"\\left( {a}, {b} \\right)", f"\\big({a},{b}\\big)",
             f"(\\frac{{{3 * a}}}{{3}}, {b}.0)", f"(x, y) = ({a}, {b})", f"x = {a}, y = {b}", f"({a};{b})", f"(x,y)=\\left({a},{b}\\right)", f"\\langle {a}, {b} \\rangle"]
    wrong = [f"({b}, {a})", f"({a}, {b + 1})", f"({a}, {b}, 0)", f"({a}, -{b})", f"{a}", f"({a + 1}, {b})", f"x = {b}, y = {a}", f"{a}.{b}"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30), c=ints(31, 60))
def triples(a: int, b: int, c: int):
    right = [f"({a}, {b}, {c})", f"\\left({a}, {b}, {c}\\right)", f"(x,y,z) = ({a},{b},{c})", f"x={a}, y={b}, z={c}", f"x={a}, \\quad y={b}, \\quad z={c}"]
    return right, [f"({b}, {a}, {c})", f"({c}, {b}, {a})", f"({a}, {b})", f"({a}, {b}, {c + 1})", f"({a}, {b}, -{c})"]


@family(a=ints(1, 9), b=ints(10, 30))
def vectors(a: int, b: int):
    right = [f"\\begin{{pmatrix}} {a} \\\\ {b} \\end{{pmatrix}}", f"\\begin{{bmatrix}}{a}\\\\{b}\\end{{bmatrix}}", f"\\binom{{{a}}}{{{b}}}".replace("binom", "begin{pmatrix}@") if 0 else f"\\begin{{pmatrix}}{a}\\\\ {b}\\\\ \\end{{pmatrix}}",
             f"\\left(\\begin{{array}}{{c}}{a}\\\\{b}\\end{{array}}\\right)", f"\\left[\\begin{{array}}{{r}} {a} \\\\ {b} \\end{{array}}\\right]", f"\\begin{{pmatrix}} \\frac{{{2 * a}}}{{2}} \\\\ {b} \\end{{pmatrix}}"]
    return right, [f"\\begin{{pmatrix}} {b} \\\\ {a} \\end{{pmatrix}}", f"\\begin{{pmatrix}} {a} \\\\ -{b} \\end{{pmatrix}}", f"\\begin{{pmatrix}} {a} \\\\ {b} \\\\ 0 \\end{{pmatrix}}", f"\\frac{{{a}}}{{{b}}}"]


@family(a=digit, b=digit, c=digit)
def unit_vectors(a: int, b: int, c: int):
    right = [f"{a}\\mathbf{{i}}+{b}\\mathbf{{j}}+{c}\\mathbf{{k}}", f"{a}\\hat{{i}}+{b}\\hat{{j}}+{c}\\hat{{k}}", f"{a}\\vec{{i}} + {b}\\vec{{j}} + {c}\\vec{{k}}"]
    return right, [f"{a}\\mathbf{{i}}-{b}\\mathbf{{j}}+{c}\\mathbf{{k}}", f"{a}\\mathbf{{i}}+{b}\\mathbf{{j}}", f"{c + 1}\\mathbf{{i}}+{b}\\mathbf{{j}}+{c}\\mathbf{{k}}"]


@family(a=ints(1, 9), b=ints(10, 30), c=ints(-9, -1), d=ints(31, 50))
def matrices(a: int, b: int, c: int, d: int):
    right = [f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}", f"\\begin{{bmatrix}}{a}&{b}\\\\{c}&{d}\\end{{bmatrix}}", f"\\left(\\begin{{array}}{{cc}}{a}&{b}\\\\{c}&{d}\\end{{array}}\\right)",
             f"\\begin{{pmatrix}}{a} & {b} \\\\[2mm] {c} & {d}\\end{{pmatrix}}", f"[[{a}, {b}], [{c}, {d}]]", f"A = \\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}", f"\\begin{{bmatrix}}{a}.0&{b}\\\\{c}&\\frac{{{2 * d}}}{{2}}\\end{{bmatrix}}"]
    wrong = [f"\\begin{{pmatrix}} {a} & {c} \\\\ {b} & {d} \\end{{pmatrix}}", f"\\begin{{pmatrix}} {a} & {b} \\\\ {-c} & {d} \\end{{pmatrix}}", f"\\begin{{pmatrix}} {a} & {b} & {c} & {d} \\end{{pmatrix}}",
             f"\\begin{{vmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{vmatrix}}", f"\\begin{{pmatrix}} {a} & {b} \\end{{pmatrix}}", f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d + 1} \\end{{pmatrix}}", f"{a * d - b * c}"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30))
def intervals(a: int, b: int):
    right = [f"[{a}, {b})", f"[{a},{b})", f"\\left[{a}, {b}\\right)", f"{a} \\le x < {b}", f"{a}\\leq x<{b}", f"{b} > x \\ge {a}", f"x \\in [{a}, {b})", f"{a} ≤ x < {b}", f"{a} \\leqslant x < {b}", f"\\{{x \\mid {a} \\le x < {b}\\}}"]
    wrong = [f"({a}, {b})", f"[{a}, {b}]", f"({a}, {b}]", f"[{a}, {b + 1})", f"[{a - 1}, {b})", f"{a} < x < {b}", f"[{b}, {a})", f"[{a}, \\infty)", f"\\{{{a}, {b}\\}}"]
    return right, wrong


@family(a=ints(-9, 9))
def rays(a: int):
    right = [f"[{a}, \\infty)", f"[{a},+\\infty)", f"\\left[{a}, \\infty\\right)", f"x \\ge {a}", f"x\\geq{a}", f"{a} \\le x", f"x >= {a}", f"x ≥ {a}", f"[{a}, ∞)", f"x\\in[{a},\\infty)", f"\\{{x : x \\ge {a}\\}}", f"\\{{x \\in \\mathbb{{R}} \\mid x \\geq {a}\\}}", f"x \\geqslant {a}"]
    return right, [f"({a}, \\infty)", f"(-\\infty, {a}]", f"x > {a}", f"x \\le {a}", f"[{a + 1}, \\infty)", f"{a}", f"[{a}, {a + 50}]", f"x = {a}"]


@family(a=ints(-30, -10), b=ints(10, 30))
def unions(a: int, b: int):
    right = [f"(-\\infty, {a}) \\cup ({b}, \\infty)", f"({b},\\infty)\\cup(-\\infty,{a})", f"\\left(-\\infty,{a}\\right)\\cup\\left({b},+\\infty\\right)", f"x < {a} \\text{{ or }} x > {b}", f"x < {a} or x > {b}", f"(-∞, {a}) ∪ ({b}, ∞)", f"x \\in (-\\infty, {a}) \\cup ({b}, \\infty)", f"x > {b} \\text{{ or }} x < {a}"]
    return right, [f"({a}, {b})", f"(-\\infty, {a}] \\cup ({b}, \\infty)", f"(-\\infty, {a}) \\cup [{b}, \\infty)", f"(-\\infty, {a})", f"(-\\infty, {a}) \\cap ({b}, \\infty)", f"(-\\infty, {a + 1}) \\cup ({b}, \\infty)", f"(-\\infty, \\infty)"]


@family(a=ints(-30, -10), b=ints(-9, 9), c=ints(10, 30))
def split_unions(a: int, b: int, c: int):
    right = [f"[{a}, {b}) \\cup ({b}, {c}]", f"({b}, {c}] \\cup [{a}, {b})", f"[{a}, {c}] \\setminus \\{{{b}\\}}", f"[{a},{b})\\bigcup({b},{c}]"]
    return right, [f"[{a}, {c}]", f"[{a}, {b}] \\cup ({b}, {c}]", f"({a}, {b}) \\cup ({b}, {c})", f"[{a}, {b})"]


@family(n=ints(-9, 9))
def punctured_line(n: int):
    right = [f"(-\\infty, {n}) \\cup ({n}, \\infty)", f"\\mathbb{{R}} \\setminus \\{{{n}\\}}", f"x \\neq {n}", f"x \\ne {n}", f"\\mathbb{{R}} - \\{{{n}\\}}", f"x ≠ {n}"]
    return right, ["\\mathbb{R}", f"(-\\infty, {n})", f"x \\neq {n + 1}", f"(-\\infty, {n}] \\cup ({n}, \\infty)", f"x = {n}"]


@family(a=digit, b=ints(2, 9), c=ints(-30, 30))
def equations(a: int, b: int, c: int):
    right = [f"{a}x+{b}y={c}", f"{b}y+{a}x={c}", fix(f"{a}x+{b}y-{c}=0"), f"{2 * a}x+{2 * b}y={2 * c}", f"-{a}x-{b}y={-c}", f"y=\\frac{{{c}-{a}x}}{{{b}}}", f"y=-\\frac{{{a}}}{{{b}}}x+\\frac{{{c}}}{{{b}}}", f"{c}={a}x+{b}y"]
    wrong = [f"{a}x-{b}y={c}", f"{a}x+{b}y={c + 1}", f"{a + 1}x+{b}y={c}", f"{a}x+{b}y<{c}", f"{a}x^2+{b}y={c}"]
    return right, wrong if c else wrong[:2]


@family(r=ints(2, 9), h=ints(1, 9), k=ints(1, 9))
def circles(r: int, h: int, k: int):
    right = [f"(x-{h})^2+(y+{k})^2={r * r}", f"(y+{k})^2+(x-{h})^{{2}}={r * r}", f"x^2+y^2-{2 * h}x+{2 * k}y+{h * h + k * k - r * r}=0".replace("+-", "-"), f"\\frac{{(x-{h})^2}}{{{r * r}}}+\\frac{{(y+{k})^2}}{{{r * r}}}=1"]
    return right, [f"(x+{h})^2+(y+{k})^2={r * r}", f"(x-{h})^2+(y+{k})^2={r}", f"(x-{h})^2-(y+{k})^2={r * r}", f"(x-{h})^2+(y+{k})^2={r * r + 1}"]


@family(m=ints(2, 9), c=ints(1, 9))
def lines(m: int, c: int):
    right = [f"y={m}x+{c}", f"y = {m}x + {c}", f"y-{c}={m}x", f"{m}x-y+{c}=0", f"y={c}+{m} x", f"\\displaystyle y={m}x+{c}", f"f(x)={m}x+{c}", f"{m}x+{c}"]
    return right[:6], [f"y={m}x-{c}", f"y={m + 1}x+{c}", f"x={m}y+{c}", f"y=-{m}x+{c}", f"y={c}x+{m}" if m != c else "y=0"]


@family(m=ints(2, 9), c=ints(10, 20))
def functions(m: int, c: int):
    right = [f"f(x)={m}x+{c}", f"{m}x+{c}", f"f(x) = {c}+{m}x", f"y={m}x+{c}"]
    return right, [f"f(x)={m}x-{c}", f"{c}x+{m}", f"f(x)={m}x^2+{c}", f"{m}+{c}x"]


@family(n=ints(-50, 50))
def assigned(n: int):
    right = [f"x={n}", f"{n}", f"x = {n}", f"x=\\boxed{{{n}}}", f"$x = {n}$", f"\\text{{x}} = {n}", f"{n}=x", f"f(2)={n}", f"\\angle ABC = {n}", f"|AB| = {n}", f"x \\to {n}" if 0 else f"S_n = {n}"]
    return right[:6], [f"x={n + 1}", f"x={-n - 1}", f"x>{n}", f"x \\neq {n}", f"x={n}0" if n else "x=10"]


@family(a=ints(1, 9), b=ints(10, 20))
def assigned_several(a: int, b: int):
    right = [f"x={a}, y={b}", f"x={a} \\text{{ and }} y={b}", f"y={b}, x={a}", f"\\begin{{cases}} x={a} \\\\ y={b} \\end{{cases}}", f"x={a},\\; y={b}", f"x = {a} and y = {b}", f"(x,y)=({a},{b})"]
    return right, [f"x={b}, y={a}", f"x={a}, y={b + 1}", f"x={a}", f"x={a}, y=-{b}", f"x={a}, y={b}, z=1"]


@family(a=ints(1, 9), b=ints(10, 20))
def two_roots(a: int, b: int):
    right = [f"x={a} \\text{{ or }} x={b}", f"x={a}, x={b}", f"x = {b} or x = {a}", f"{a}, {b}", f"{a} and {b}", f"\\{{{a},{b}\\}}", f"x_1={a}, x_2={b}", f"x \\in \\{{{a}, {b}\\}}", f"{b},{a}", f"{a}\\text{{ or }}{b}", f"{a}; {b}", f"{a} \\quad \\text{{and}} \\quad {b}"]
    return right, [f"x={a}", f"{a}, {b + 1}", f"-{a}, -{b}", f"{a + b}", f"{a}, {b}, 0", f"{a}{b}"]


@family(a=ints(-9, 9))
def inequalities(a: int):
    right = [f"x > {a}", f"{a} < x", f"({a}, \\infty)", f"x>{a}", f"x \\gt {a}", f"x\\in({a},+\\infty)", f"2x > {2 * a}"]
    return right, [f"x < {a}", f"x \\ge {a}", f"x > {a + 1}", f"(-\\infty, {a})", f"{a}", f"x={a}", f"y > {a + 1}"]


@family(a=ints(2, 9), b=ints(10, 20), c=ints(1, 9))
def polynomials(a: int, b: int, c: int):
    right = [f"(x+{a})(x-{b})", f"(x-{b})(x+{a})", fix(f"x^2+{a - b}x-{a * b}"), fix(f"x^{{2}}-{a * b}+{a - b}x"), f"\\left(x+{a}\\right)\\left(x-{b}\\right)", f"(x+{a})\\cdot(x-{b})", f"({b}-x)(-x-{a})", f"x(x-{b})+{a}(x-{b})", fix(f"x**2+{a - b}*x-{a * b}")]
    return right, [f"(x-{a})(x-{b})", f"(x+{a})(x+{b})", fix(f"x^2+{a - b}x+{a * b}"), fix(f"x^3+{a - b}x-{a * b}"), f"(x+{a})(x-{b + 1})", f"2(x+{a})(x-{b})", f"(y+{a})(y-{b})"]


@family(a=ints(2, 9), b=ints(2, 5))
def several_variables(a: int, b: int):
    right = [f"{a}x^{b}y+{b}xy^{a}", f"xy({a}x^{{{b - 1}}}+{b}y^{{{a - 1}}})", f"{b}y^{{{a}}}x+{a}yx^{b}", f"{a} x^{b} y + {b} x y^{a}"]
    return right, [f"{a}x^{b}y-{b}xy^{a}", f"{a}x^{b}+{b}y^{a}", f"{a + 1}x^{b}y+{b}xy^{a}", f"{a}x^{{{b + 1}}}y+{b}xy^{a}", f"{a}a^{b}b+{b}ab^{a}"]


@family(a=ints(2, 9), b=ints(10, 20))
def rational_functions(a: int, b: int):
    right = [f"\\frac{{x+{a}}}{{x-{b}}}", f"1+\\frac{{{a + b}}}{{x-{b}}}", f"\\frac{{-x-{a}}}{{{b}-x}}", f"\\frac{{x^2+{a}x}}{{x^2-{b}x}}", f"(x+{a})/(x-{b})", f"(x+{a})(x-{b})^{{-1}}"]
    return right, [f"\\frac{{x-{a}}}{{x-{b}}}", f"\\frac{{x+{a}}}{{x+{b}}}", f"\\frac{{x-{b}}}{{x+{a}}}", f"x+{a}/x-{b}", f"\\frac{{x+{a + 1}}}{{x-{b}}}"]


@family(a=ints(2, 9), n=ints(2, 6))
def exponentials(a: int, n: int):
    right = [f"{a}e^{{{n}x}}", f"{a}\\exp({n}x)", f"{a} e^{{x\\cdot {n}}}", f"{a}(e^x)^{n}", f"\\frac{{{a}}}{{e^{{-{n}x}}}}", f"{a}\\mathrm{{e}}^{{{n}x}}"]
    return right, [f"{a}e^{{-{n}x}}", f"{a + 1}e^{{{n}x}}", f"{a}e^{{{n + 1}x}}", f"{a}e^{n}x", f"e^{{{a * n}x}}", f"{a}+e^{{{n}x}}"]


@family(a=ints(2, 9), b=ints(10, 20))
def pi_sums(a: int, b: int):
    right = [f"{a}\\pi+{b}", f"{b}+{a}\\pi", f"{a}π+{b}", f"{a} \\pi + {b}", f"\\pi\\cdot {a}+{b}", f"{b} + {a}pi", f"{2 * a}\\cdot\\frac{{\\pi}}{{2}}+{b}"]
    return right, [f"{a}\\pi-{b}", f"{b}\\pi+{a}", f"{a + b}\\pi", f"{a}\\pi", f"{a * 3.14159265 + b:.6f}", f"{a * 3.14 + b:.2f}", f"-{a}\\pi+{b}"]


@family(n=ints(2, 9))
def trig_identities(n: int):
    right = [f"{n}\\sin 2x", f"{2 * n}\\sin x\\cos x", f"{n}\\sin(2x)", f"{2 * n}\\cos(x)\\sin(x)", f"\\frac{{{2 * n}\\tan x}}{{1+\\tan^2 x}}", f"{n}\\sin{{2x}}"]
    return right, [f"{n}\\sin x", f"{n}\\cos 2x", f"{n}\\sin^2 x", f"-{n}\\sin 2x", f"{2 * n}\\sin 2x", f"{n}\\sin(x^2)"]


@family(a=ints(2, 9))
def general_solutions(a: int):
    right = [f"x=\\frac{{\\pi}}{{{a}}}+2k\\pi", f"\\frac{{\\pi}}{{{a}}}+2\\pi k", f"x=2\\pi k+\\frac{{\\pi}}{{{a}}}, k\\in\\mathbb{{Z}}", f"\\frac{{\\pi}}{{{a}}}+2k\\pi \\quad (k \\in \\mathbb{{Z}})", f"\\frac{{\\pi}}{{{a}}} + 2n\\pi, n \\in \\mathbb{{Z}}"]
    return right[:4], [f"x=\\frac{{\\pi}}{{{a}}}+k\\pi", f"x=-\\frac{{\\pi}}{{{a}}}+2k\\pi", f"x=\\frac{{\\pi}}{{{a + 1}}}+2k\\pi", f"\\frac{{\\pi}}{{{a}}}"]


@family(a=ints(2, 9), b=ints(10, 20))
def constants_of_integration(a: int, b: int):
    right = [f"{a}x^2+{b}x+C", f"{b}x+{a}x^2+C", f"{a}x^{{2}}+{b}x+c"]
    return right, [f"{a}x^2-{b}x+C", f"{a}x^2+C", f"{a + 1}x^2+{b}x+C"]


@family(v=ints(1, 9), a=ints(2, 9))
def physics(v: int, a: int):
    right = [f"\\frac{{m v^{{2}}}}{{{a} R}}", f"\\frac{{1}}{{{a}}}\\frac{{mv^2}}{{R}}", f"\\frac{{mv^2}}{{{a}R}}", f"F=\\frac{{m v^2}}{{{a}R}}", f"mv^2/({a}R)"]
    return right, [f"\\frac{{mv}}{{{a}R}}", f"\\frac{{mv^2}}{{{a + 1}R}}", f"\\frac{{mv^2}}{{{a}R^2}}", f"\\frac{{{a}mv^2}}{{R}}", f"\\frac{{mv^2}}{{{a}r}}"]


@family(a=ints(2, 9), b=ints(2, 9))
def greek_formulas(a: int, b: int):
    right = [f"\\omega=\\sqrt{{\\frac{{{a}k}}{{m}}}}", f"\\sqrt{{\\frac{{{a} k}}{{m}}}}", f"\\sqrt{{{a}k/m}}", f"\\left(\\frac{{{a}k}}{{m}}\\right)^{{1/2}}", f"\\sqrt{{{a}}}\\sqrt{{\\frac{{k}}{{m}}}}"]
    return right, [f"\\sqrt{{\\frac{{{a}m}}{{k}}}}", f"\\sqrt{{\\frac{{{a + 1}k}}{{m}}}}", f"\\frac{{{a}k}}{{m}}", f"{a}\\sqrt{{\\frac{{k}}{{m}}}}", f"\\sqrt{{\\frac{{k}}{{{a}m}}}}"]


UNITS = [("m", 1, "cm", 100), ("km", 1, "m", 1000), ("kg", 1, "g", 1000), ("h", 1, "min", 60), ("min", 1, "s", 60),
         ("L", 1, "mL", 1000), ("m^2", 1, "cm^2", 10000), ("kJ", 1, "J", 1000), ("km/h", 18, "m/s", 5), ("kN", 1, "N", 1000)]


@family(n=small, k=st.integers(0, len(UNITS) - 1))
def units(n: int, k: int):
    one, f, other, g = UNITS[k]
    n = n * f
    m = n * g // f
    right = [f"{n} {one}", f"{n}\\text{{ {one}}}".replace("^2}", "}^2"), f"{n}\\ \\mathrm{{{one}}}", f"{m} {other}", f"{n} \\mathrm{{~{one}}}", f"{m} \\, \\text{{{other}}}".replace("^2}", "}^2"), f"{n}"]
    wrong = [f"{n + 1} {one}", f"{n} {other}", f"{m} {one}", f"-{n} {one}", f"{n} K", f"{m * 10} {other}"]
    return right[:6], wrong


@family(n=small)
def counted(n: int):
    right = [f"{n}", f"{n} apples", f"{n}\\text{{ apples}}", f"{n} \\text{{ square units}}", f"{n}\\text{{ students}}", f"{n} ways"]
    return right[:1] + right[1:2], [f"{n + 1} apples", f"-{n} apples", f"{n}0 apples"]


@family(h=ints(1, 12), m=ints(10, 59))
def times(h: int, m: int):
    right = [f"{h}:{m}", f"{h}:{m} \\text{{ p.m.}}", f"{h}:{m} PM", f"{h}:{m}\\text{{ pm}}"]
    return right[1:], [f"{h}:{(m - 9) % 50 + 10} PM" if (m - 9) % 50 + 10 != m else "1:01 PM", f"{h % 12 + 1}:{m} PM", f"{h}:{m} AM", f"{h}:{m}\\text{{ a.m.}}"]


@family(a=ints(1, 9), b=ints(10, 20))
def piecewise(a: int, b: int):
    right = [f"\\begin{{cases}} {a}x & x<0 \\\\ {b}x & x\\ge 0 \\end{{cases}}", f"\\begin{{cases}} {a}x, & x<0 \\\\ {b}x, & x\\geq 0 \\end{{cases}}", f"\\begin{{cases}}{a}x&\\text{{if }}x<0\\\\{b}x&\\text{{if }}x\\ge0\\end{{cases}}", f"f(x)=\\begin{{cases}} {a}x & x<0 \\\\ {b}x & x\\ge 0 \\end{{cases}}"]
    return right, [f"\\begin{{cases}} {b}x & x<0 \\\\ {a}x & x\\ge 0 \\end{{cases}}", f"\\begin{{cases}} {a}x & x<0 \\\\ {b + 1}x & x\\ge 0 \\end{{cases}}", f"{a}x", f"\\begin{{cases}} {a}x & x<1 \\\\ {b}x & x\\ge 1 \\end{{cases}}"]


@family(n=ints(2, 9), r=ints(1, 8))
def congruences(n: int, r: int):
    r, n = min(r, n), n + 1
    right = [f"{r} \\pmod{{{n}}}", f"x \\equiv {r} \\pmod{{{n}}}", f"x \\equiv {r} \\pmod {n}", f"x\\equiv {r} (\\bmod {n})"]
    return right[1:], [f"x \\equiv {r + 1} \\pmod{{{n}}}", f"x \\equiv {r} \\pmod{{{n + 1}}}"]


@family(a=ints(1, 9), b=ints(10, 20))
def absolute_values(a: int, b: int):
    right = [f"|x-{a}|+{b}", f"\\left|x-{a}\\right|+{b}", f"{b}+\\lvert x-{a}\\rvert", f"\\left|{a}-x\\right|+{b}", f"\\vert x-{a} \\vert + {b}"]
    return right, [f"|x+{a}|+{b}", f"|x-{a}|-{b}", f"x-{a}+{b}", f"|x-{a}+{b}|"]


@family(a=ints(1, 9), b=ints(10, 20))
def nested_sets(a: int, b: int):
    right = [f"({a}, {b}), ({b}, {a})", f"\\{{({a},{b}),({b},{a})\\}}", f"({b},{a}),({a},{b})", f"({a}, {b}) \\text{{ and }} ({b}, {a})", f"({a},{b}) and ({b},{a})", f"(x,y)=({a},{b}),({b},{a})", f"\\left({a},{b}\\right), \\left({b},{a}\\right)", f"(x,y) = ({a},{b}) \\text{{ or }} ({b},{a})"]
    return right, [f"({a}, {b})", f"({a}, {b}), ({a}, {b})", f"({a}, {b}), ({b}, {a}), (0,0)", f"({a}, {b}), ({b}, {a + 1})", f"({a},{b},{b},{a})"]


@family(n=ints(2, 9), k=ints(2, 5))
def sequences(n: int, k: int):
    right = [f"a_n={n}n+{k}", f"{n}n+{k}", f"a_{{n}} = {k}+{n}n", f"{n}(n+1)-{n - k}".replace("--", "+").replace("-0", "+0")]
    return right, [f"a_n={n}n-{k}", f"a_n={n + 1}n+{k}", f"{n}^n+{k}", f"a_n={n}(n+1)+{k}"]


@family(n=ints(2, 9), a=digit)
def sums_written_out(n: int, a: int):
    right = [f"\\sum_{{k=1}}^{{{n}}} {a}k", f"{a * n * (n + 1) // 2}", f"{a}\\sum_{{i=1}}^{{{n}}} i"]
    return right, [f"\\sum_{{k=1}}^{{{n + 1}}} {a}k", f"{a * n * (n + 1) // 2 + 1}", f"\\sum_{{k=1}}^{{{n}}} {a + 1}k"]


@family(n=ints(2, 9))
def floors(n: int):
    right = [f"\\lfloor {n}.7 \\rfloor", f"{n}", f"\\left\\lfloor {n}.2 \\right\\rfloor", f"\\lceil {n}-0.3 \\rceil"]
    return right, [f"\\lceil {n}.7 \\rceil", f"{n}.7", f"\\lfloor {n - 1}.9 \\rfloor"]


@family(n=ints(2, 9), m=ints(10, 40))
def nested_radicals(n: int, m: int):
    m = m + 1 if round(m**0.5) ** 2 == m else m
    right = [f"\\sqrt{{{n * n + m}+{2 * n}\\sqrt{{{m}}}}}", f"{n}+\\sqrt{{{m}}}", f"\\sqrt{{{m}}}+{n}"]
    return right, [f"\\sqrt{{{n * n + m}-{2 * n}\\sqrt{{{m}}}}}", f"{n}-\\sqrt{{{m}}}", f"{n + 1}+\\sqrt{{{m}}}", f"\\sqrt{{{n * n + m}}}+{2 * n}\\sqrt{{{m}}}"]


@family(n=big)
def near_by_digits(n: int):
    """A number and the same with two digits swapped, one dropped, one doubled."""
    t = str(n)
    return [t, f"{n:,}", f"\\boxed{{{t}}}"], [t[1] + t[0] + t[2:] if t[0] != t[1] and t[1] != "0" else t + "1", t[:-1], t + t[-1], "1" + t, f"{n:,}".replace(",", ".", 1) if n < 999_999 else f"-{n}"]


@family(a=digit, b=digit, c=digit)
def exact_values(a: int, b: int, c: int):
    """Sums of a rational and a root, over a common denominator and apart."""
    c = c + 1
    right = [f"\\frac{{{a}+{b}\\sqrt{{7}}}}{{{c}}}", f"{frac(Fraction(a, c))}+\\frac{{{b}\\sqrt{{7}}}}{{{c}}}", f"\\frac{{{b}\\sqrt{{7}}+{a}}}{{{c}}}", f"\\frac{{1}}{{{c}}}({a}+{b}\\sqrt{{7}})", f"({a}+{b}\\sqrt{{7}})/{c}"]
    return right, [f"\\frac{{{a}-{b}\\sqrt{{7}}}}{{{c}}}", f"\\frac{{{a}+{b}\\sqrt{{7}}}}{{{c + 1}}}", f"{a}+\\frac{{{b}\\sqrt{{7}}}}{{{c}}}" , f"\\frac{{{a + b}\\sqrt{{7}}}}{{{c}}}", f"{(a + b * 7**0.5) / c:.4f}"]

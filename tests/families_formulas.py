r"""Families of formulas: equations, lines, polynomials, rational functions, what an unknown is equal to."""

# fmt: off
from __future__ import annotations

from families import digit, family, ints


def fix(text: str) -> str:
    """3x+-2 is 3x-2, and 1x is x where nobody would write the 1."""
    return text.replace("+-", "-").replace("--", "+")


@family(a=digit, b=ints(2, 9), c=ints(-30, 30))
def equations(a: int, b: int, c: int):
    right = [f"{a}x+{b}y={c}", f"{b}y+{a}x={c}", fix(f"{a}x+{b}y-{c}=0"), f"{2 * a}x+{2 * b}y={2 * c}",
        f"-{a}x-{b}y={-c}", f"y=\\frac{{{c}-{a}x}}{{{b}}}",
        f"y=-\\frac{{{a}}}{{{b}}}x+\\frac{{{c}}}{{{b}}}", f"{c}={a}x+{b}y"]
    wrong = [f"{a}x-{b}y={c}", f"{a}x+{b}y={c + 1}", f"{a + 1}x+{b}y={c}", f"{a}x+{b}y<{c}",
        f"{a}x^2+{b}y={c}"]
    return right, wrong if c else wrong[:2]


@family(r=ints(2, 9), h=ints(1, 9), k=ints(1, 9))
def circles(r: int, h: int, k: int):
    right = [f"(x-{h})^2+(y+{k})^2={r * r}", f"(y+{k})^2+(x-{h})^{{2}}={r * r}",
        f"x^2+y^2-{2 * h}x+{2 * k}y+{h * h + k * k - r * r}=0".replace("+-", "-"),
        f"\\frac{{(x-{h})^2}}{{{r * r}}}+\\frac{{(y+{k})^2}}{{{r * r}}}=1"]
    return right, [f"(x+{h})^2+(y+{k})^2={r * r}", f"(x-{h})^2+(y+{k})^2={r}",
        f"(x-{h})^2-(y+{k})^2={r * r}", f"(x-{h})^2+(y+{k})^2={r * r + 1}"]


@family(m=ints(2, 9), c=ints(1, 9))
def lines(m: int, c: int):
    right = [f"y={m}x+{c}", f"y = {m}x + {c}", f"y-{c}={m}x", f"{m}x-y+{c}=0", f"y={c}+{m} x",
        f"\\displaystyle y={m}x+{c}"]
    return right, [f"y={m}x-{c}", f"y={m + 1}x+{c}", f"x={m}y+{c}", f"y=-{m}x+{c}",
        f"y={c}x+{m}" if m != c else "y=0"]


@family(m=ints(2, 9), c=ints(10, 20))
def functions(m: int, c: int):
    right = [f"f(x)={m}x+{c}", f"{m}x+{c}", f"f(x) = {c}+{m}x", f"y={m}x+{c}"]
    return right, [f"f(x)={m}x-{c}", f"{c}x+{m}", f"f(x)={m}x^2+{c}", f"{m}+{c}x"]


@family(n=ints(-50, 50))
def assigned(n: int):
    right = [f"x={n}", f"{n}", f"x = {n}", f"x=\\boxed{{{n}}}", f"$x = {n}$", f"\\text{{x}} = {n}"]
    return right, [f"x={n + 1}", f"x={-n - 1}", f"x>{n}", f"x \\neq {n}", f"x={n}0" if n else "x=10"]


@family(a=ints(1, 9), b=ints(10, 20))
def assigned_several(a: int, b: int):
    right = [f"x={a}, y={b}", f"x={a} \\text{{ and }} y={b}", f"y={b}, x={a}",
        f"\\begin{{cases}} x={a} \\\\ y={b} \\end{{cases}}", f"x={a},\\; y={b}", f"x = {a} and y = {b}",
        f"(x,y)=({a},{b})"]
    return right, [f"x={b}, y={a}", f"x={a}, y={b + 1}", f"x={a}", f"x={a}, y=-{b}", f"x={a}, y={b}, z=1"]


@family(a=ints(1, 9), b=ints(10, 20))
def two_roots(a: int, b: int):
    right = [f"x={a} \\text{{ or }} x={b}", f"x={a}, x={b}", f"x = {b} or x = {a}", f"{a}, {b}",
        f"{a} and {b}", f"\\{{{a},{b}\\}}", f"x_1={a}, x_2={b}", f"x \\in \\{{{a}, {b}\\}}", f"{b},{a}",
        f"{a}\\text{{ or }}{b}", f"{a}; {b}", f"{a} \\quad \\text{{and}} \\quad {b}"]
    return right, [f"x={a}", f"{a}, {b + 1}", f"-{a}, -{b}", f"{a + b}", f"{a}, {b}, 0", f"{a}{b}"]


@family(a=ints(-9, 9))
def inequalities(a: int):
    right = [f"x > {a}", f"{a} < x", f"({a}, \\infty)", f"x>{a}", f"x \\gt {a}", f"x\\in({a},+\\infty)",
        f"2x > {2 * a}"]
    return right, [f"x < {a}", f"x \\ge {a}", f"x > {a + 1}", f"(-\\infty, {a})", f"{a}", f"x={a}",
        f"y > {a + 1}"]


@family(a=ints(2, 9), b=ints(10, 20), c=ints(1, 9))
def polynomials(a: int, b: int, c: int):
    right = [f"(x+{a})(x-{b})", f"(x-{b})(x+{a})", fix(f"x^2+{a - b}x-{a * b}"),
        fix(f"x^{{2}}-{a * b}+{a - b}x"), f"\\left(x+{a}\\right)\\left(x-{b}\\right)",
        f"(x+{a})\\cdot(x-{b})", f"({b}-x)(-x-{a})", f"x(x-{b})+{a}(x-{b})", fix(f"x**2+{a - b}*x-{a * b}")]
    return right, [f"(x-{a})(x-{b})", f"(x+{a})(x+{b})", fix(f"x^2+{a - b}x+{a * b}"),
        fix(f"x^3+{a - b}x-{a * b}"), f"(x+{a})(x-{b + 1})", f"2(x+{a})(x-{b})", f"(y+{a})(y-{b})"]


@family(a=ints(2, 9), b=ints(2, 5))
def several_variables(a: int, b: int):
    right = [f"{a}x^{b}y+{b}xy^{a}", f"xy({a}x^{{{b - 1}}}+{b}y^{{{a - 1}}})", f"{b}y^{{{a}}}x+{a}yx^{b}",
        f"{a} x^{b} y + {b} x y^{a}"]
    return right, [f"{a}x^{b}y-{b}xy^{a}", f"{a}x^{b}+{b}y^{a}", f"{a + 1}x^{b}y+{b}xy^{a}",
        f"{a}x^{{{b + 1}}}y+{b}xy^{a}", f"{a}a^{b}b+{b}ab^{a}"]


@family(a=ints(2, 9), b=ints(10, 20))
def rational_functions(a: int, b: int):
    right = [f"\\frac{{x+{a}}}{{x-{b}}}", f"1+\\frac{{{a + b}}}{{x-{b}}}", f"\\frac{{-x-{a}}}{{{b}-x}}",
        f"\\frac{{x^2+{a}x}}{{x^2-{b}x}}", f"(x+{a})/(x-{b})", f"(x+{a})(x-{b})^{{-1}}"]
    return right, [f"\\frac{{x-{a}}}{{x-{b}}}", f"\\frac{{x+{a}}}{{x+{b}}}", f"\\frac{{x-{b}}}{{x+{a}}}",
        f"x+{a}/x-{b}", f"\\frac{{x+{a + 1}}}{{x-{b}}}"]


@family(a=ints(2, 9), n=ints(2, 6))
def exponentials(a: int, n: int):
    right = [f"{a}e^{{{n}x}}", f"{a}\\exp({n}x)", f"{a} e^{{x\\cdot {n}}}", f"{a}(e^x)^{n}",
        f"\\frac{{{a}}}{{e^{{-{n}x}}}}", f"{a}\\mathrm{{e}}^{{{n}x}}"]
    return right, [f"{a}e^{{-{n}x}}", f"{a + 1}e^{{{n}x}}", f"{a}e^{{{n + 1}x}}", f"{a}e^{n}x",
        f"e^{{{a * n}x}}", f"{a}+e^{{{n}x}}"]


@family(a=ints(2, 9), b=ints(10, 20))
def pi_sums(a: int, b: int):
    right = [f"{a}\\pi+{b}", f"{b}+{a}\\pi", f"{a}π+{b}", f"{a} \\pi + {b}", f"\\pi\\cdot {a}+{b}",
        f"{b} + {a}pi", f"{2 * a}\\cdot\\frac{{\\pi}}{{2}}+{b}"]
    return right, [f"{a}\\pi-{b}", f"{b}\\pi+{a}", f"{a + b}\\pi", f"{a}\\pi", f"{a * 3.14159265 + b:.6f}",
        f"{a * 3.14 + b:.2f}", f"-{a}\\pi+{b}"]


@family(n=ints(2, 9))
def trig_identities(n: int):
    right = [f"{n}\\sin 2x", f"{2 * n}\\sin x\\cos x", f"{n}\\sin(2x)", f"{2 * n}\\cos(x)\\sin(x)",
        f"\\frac{{{2 * n}\\tan x}}{{1+\\tan^2 x}}", f"{n}\\sin{{2x}}"]
    return right, [f"{n}\\sin x", f"{n}\\cos 2x", f"{n}\\sin^2 x", f"-{n}\\sin 2x", f"{2 * n}\\sin 2x",
        f"{n}\\sin(x^2)"]

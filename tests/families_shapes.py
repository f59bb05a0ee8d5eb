r"""Families of answers with a shape: sets, tuples, vectors, matrices, intervals and their unions."""

# fmt: off
from __future__ import annotations

from families import digit, family, ints


@family(a=ints(-9, 9), b=ints(10, 30), c=ints(31, 60))
def sets(a: int, b: int, c: int):
    right = [f"\\{{{a}, {b}, {c}\\}}", f"\\{{{c}, {a}, {b}\\}}", f"\\left\\{{{b},{a},{c}\\right\\}}",
        f"{a}, {b}, {c}", f"{{{a}, {b}, {c}}}",
             f"\\lbrace {a}, {b}, {c} \\rbrace", f"{a},{c},{b}", f"\\{{{a},{b},{c},{a}\\}}",
             f"{a}, {b} and {c}", f"{a}, {b}, \\text{{ and }} {c}"]
    wrong = [f"\\{{{a}, {b}\\}}", f"\\{{{a}, {b}, {c + 1}\\}}", f"\\{{{a}, {b}, {c}, 99\\}}",
        f"\\{{{a - 20}, {b}, {c}\\}}", f"{a + b + c + 7}", "\\emptyset"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30))
def tuples(a: int, b: int):
    right = [f"({a}, {b})", f"({a},{b})", f"\\left({a}, {b}\\right)", f"\\left( {a}, {b} \\right)",
        f"\\big({a},{b}\\big)",
             f"(\\frac{{{3 * a}}}{{3}}, {b}.0)", f"(x, y) = ({a}, {b})", f"x = {a}, y = {b}", f"({a};{b})",
             f"(x,y)=\\left({a},{b}\\right)", f"\\langle {a}, {b} \\rangle"]
    wrong = [f"({b}, {a})", f"({a}, {b + 1})", f"({a}, {b}, 0)", f"({a}, -{b})", f"{a}", f"({a + 1}, {b})",
        f"x = {b}, y = {a}", f"{a}.{b}"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30), c=ints(31, 60))
def triples(a: int, b: int, c: int):
    right = [f"({a}, {b}, {c})", f"\\left({a}, {b}, {c}\\right)", f"(x,y,z) = ({a},{b},{c})",
        f"x={a}, y={b}, z={c}", f"x={a}, \\quad y={b}, \\quad z={c}"]
    return right, [f"({b}, {a}, {c})", f"({c}, {b}, {a})", f"({a}, {b})", f"({a}, {b}, {c + 1})",
        f"({a}, {b}, -{c})"]


@family(a=ints(1, 9), b=ints(10, 30))
def vectors(a: int, b: int):
    right = [f"\\begin{{pmatrix}} {a} \\\\ {b} \\end{{pmatrix}}",
        f"\\begin{{bmatrix}}{a}\\\\{b}\\end{{bmatrix}}",
        f"\\begin{{pmatrix}}{a}\\\\ {b}\\\\ \\end{{pmatrix}}",
             f"\\left(\\begin{{array}}{{c}}{a}\\\\{b}\\end{{array}}\\right)",
             f"\\left[\\begin{{array}}{{r}} {a} \\\\ {b} \\end{{array}}\\right]",
             f"\\begin{{pmatrix}} \\frac{{{2 * a}}}{{2}} \\\\ {b} \\end{{pmatrix}}"]
    return right, [f"\\begin{{pmatrix}} {b} \\\\ {a} \\end{{pmatrix}}",
        f"\\begin{{pmatrix}} {a} \\\\ -{b} \\end{{pmatrix}}",
        f"\\begin{{pmatrix}} {a} \\\\ {b} \\\\ 0 \\end{{pmatrix}}", f"\\frac{{{a}}}{{{b}}}"]


@family(a=digit, b=digit, c=digit)
def unit_vectors(a: int, b: int, c: int):
    right = [f"{a}\\mathbf{{i}}+{b}\\mathbf{{j}}+{c}\\mathbf{{k}}",
        f"{a}\\hat{{i}}+{b}\\hat{{j}}+{c}\\hat{{k}}", f"{a}\\vec{{i}} + {b}\\vec{{j}} + {c}\\vec{{k}}"]
    return right, [f"{a}\\mathbf{{i}}-{b}\\mathbf{{j}}+{c}\\mathbf{{k}}",
        f"{a}\\mathbf{{i}}+{b}\\mathbf{{j}}", f"{c + 1}\\mathbf{{i}}+{b}\\mathbf{{j}}+{c}\\mathbf{{k}}"]


@family(a=ints(1, 9), b=ints(10, 30), c=ints(-9, -1), d=ints(31, 50))
def matrices(a: int, b: int, c: int, d: int):
    right = [f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}",
        f"\\begin{{bmatrix}}{a}&{b}\\\\{c}&{d}\\end{{bmatrix}}",
        f"\\left(\\begin{{array}}{{cc}}{a}&{b}\\\\{c}&{d}\\end{{array}}\\right)",
             f"\\begin{{pmatrix}}{a} & {b} \\\\[2mm] {c} & {d}\\end{{pmatrix}}",
             f"[[{a}, {b}], [{c}, {d}]]",
             f"A = \\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}",
             f"\\begin{{bmatrix}}{a}.0&{b}\\\\{c}&\\frac{{{2 * d}}}{{2}}\\end{{bmatrix}}"]
    wrong = [f"\\begin{{pmatrix}} {a} & {c} \\\\ {b} & {d} \\end{{pmatrix}}",
        f"\\begin{{pmatrix}} {a} & {b} \\\\ {-c} & {d} \\end{{pmatrix}}",
        f"\\begin{{pmatrix}} {a} & {b} & {c} & {d} \\end{{pmatrix}}",
             f"\\begin{{vmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{vmatrix}}",
             f"\\begin{{pmatrix}} {a} & {b} \\end{{pmatrix}}",
             f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d + 1} \\end{{pmatrix}}", f"{a * d - b * c}"]
    return right, wrong


@family(a=ints(-9, 9), b=ints(10, 30))
def intervals(a: int, b: int):
    right = [f"[{a}, {b})", f"[{a},{b})", f"\\left[{a}, {b}\\right)", f"{a} \\le x < {b}",
        f"{a}\\leq x<{b}", f"{b} > x \\ge {a}", f"x \\in [{a}, {b})", f"{a} ≤ x < {b}",
        f"{a} \\leqslant x < {b}", f"\\{{x \\mid {a} \\le x < {b}\\}}"]
    wrong = [f"({a}, {b})", f"[{a}, {b}]", f"({a}, {b}]", f"[{a}, {b + 1})", f"[{a - 1}, {b})",
        f"{a} < x < {b}", f"[{b}, {a})", f"[{a}, \\infty)", f"\\{{{a}, {b}\\}}"]
    return right, wrong


@family(a=ints(-9, 9))
def rays(a: int):
    right = [f"[{a}, \\infty)", f"[{a},+\\infty)", f"\\left[{a}, \\infty\\right)", f"x \\ge {a}",
        f"x\\geq{a}", f"{a} \\le x", f"x >= {a}", f"x ≥ {a}", f"[{a}, ∞)", f"x\\in[{a},\\infty)",
        f"\\{{x : x \\ge {a}\\}}", f"\\{{x \\in \\mathbb{{R}} \\mid x \\geq {a}\\}}", f"x \\geqslant {a}"]
    return right, [f"({a}, \\infty)", f"(-\\infty, {a}]", f"x > {a}", f"x \\le {a}", f"[{a + 1}, \\infty)",
        f"{a}", f"[{a}, {a + 50}]", f"x = {a}", f"[{a}, \\infty]"]


@family(a=ints(-30, -10), b=ints(10, 30))
def unions(a: int, b: int):
    right = [f"(-\\infty, {a}) \\cup ({b}, \\infty)", f"({b},\\infty)\\cup(-\\infty,{a})",
        f"\\left(-\\infty,{a}\\right)\\cup\\left({b},+\\infty\\right)", f"x < {a} \\text{{ or }} x > {b}",
        f"x < {a} or x > {b}", f"(-∞, {a}) ∪ ({b}, ∞)", f"x \\in (-\\infty, {a}) \\cup ({b}, \\infty)",
        f"x > {b} \\text{{ or }} x < {a}"]
    return right, [f"({a}, {b})", f"(-\\infty, {a}] \\cup ({b}, \\infty)",
        f"(-\\infty, {a}) \\cup [{b}, \\infty)", f"(-\\infty, {a})",
        f"(-\\infty, {a}) \\cap ({b}, \\infty)", f"(-\\infty, {a + 1}) \\cup ({b}, \\infty)",
        f"[-\\infty, {a}) \\cup ({b}, \\infty)"]


@family(a=ints(-30, -10), b=ints(-9, 9), c=ints(10, 30))
def split_unions(a: int, b: int, c: int):
    right = [f"[{a}, {b}) \\cup ({b}, {c}]", f"({b}, {c}] \\cup [{a}, {b})",
        f"[{a}, {c}] \\setminus \\{{{b}\\}}", f"[{a},{b})\\bigcup({b},{c}]"]
    return right, [f"[{a}, {c}]", f"[{a}, {b}] \\cup ({b}, {c}]", f"({a}, {b}) \\cup ({b}, {c})",
        f"[{a}, {b})"]


@family(n=ints(-9, 9))
def punctured_line(n: int):
    right = [f"(-\\infty, {n}) \\cup ({n}, \\infty)", f"\\mathbb{{R}} \\setminus \\{{{n}\\}}",
        f"x \\neq {n}", f"x \\ne {n}", f"\\mathbb{{R}} - \\{{{n}\\}}", f"x ≠ {n}"]
    return right, ["\\mathbb{R}", f"(-\\infty, {n})", f"x \\neq {n + 1}",
        f"(-\\infty, {n}] \\cup ({n}, \\infty)", f"x = {n}"]

r"""Texts that do something to a grader that evaluates them, and whether they did.

An evaluated probe creates the file `1` in the folder it runs in; what merely takes for ever is killed. A text
that a grader must survive is given with a gold that lets it through to the grader's deepest reader.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from peers.judging import Around

from curate.pool import Abstained, Pool
from curate.step import Verdict


def _octal(text: str) -> str:
    r"""Each character as \ooo, the backslash as LaTeX: no letter is left for a filter to count."""
    return "".join("\\textbackslash{}%03o" % ord(c) for c in text)  # noqa: UP031


TOUCH = "open('1','w')"
EVALUATED = [
    ("x", TOUCH),
    ("4", TOUCH),
    ("4", "__import__('os').system('touch 1')"),
    ("x", "__import__('os').system('touch\t1')"),
    ("4", f"sympify({TOUCH!r})"),
    ("x", f'S("{TOUCH}")'),
    ("x", f"ff('{_octal(TOUCH)}',1)"),  # few letters, and a function of SymPy that reads strings
    ("x", f"re('{_octal(TOUCH)}')"),
    ("x", f"$ff('{_octal(TOUCH)}',1)$"),
    ("[1,2]", f"[1,re('{_octal(TOUCH)}')]"),
    ("x=1", f"x={TOUCH}"),
    ("x", f"eval({TOUCH!r})"),
    ("x", f"exec({TOUCH!r})"),
    ("x", f"lambda:{TOUCH}"),
    ("x", f"[{TOUCH}for(x)in[1]]"),
    (r"\frac{1}{2}", rf"\frac{{{TOUCH}}}{{2}}"),
]
ENDLESS = [
    ("x", "9**9**9**9"),
    ("4", "9^9^9^9"),
    ("x", r"9^{9^{9^{9}}}"),
    ("x", "10**10**10"),
    (r"\frac{1}{2}", r"\frac{10^{10^{10}}}{2}"),
    ("x", "((9!)!)!"),
    ("1", "factorial(factorial(factorial(9)))"),
    ("x", r"\binom{10^{9}}{5\cdot 10^{8}}"),
    ("x", r"\sum_{i=1}^{10^{12}} \frac{1}{i^{2}}"),
    ("x", r"\prod_{i=1}^{10^{9}} i"),
    ("x", r"\int_0^1 e^{\sin(\tan(x^{x}))} dx"),
    ("x^{1000}", "(x+y+z+1)^{1000}"),
    ("1", "+".join(rf"\sqrt{{{n}+\sqrt{{{n + 1}}}}}" for n in range(2, 60))),
    ("4", "(" * 3000 + "4" + ")" * 3000),
    ("4", r"\frac{1}{" * 2000 + "4" + "}" * 2000),
    ("4", r"\sqrt{" * 2000 + "4" + "}" * 2000),
    ("4", r"\left(" * 3000),
    ("4", "1," * 100_000 + "4"),
    ("4", "1+" * 50_000 + "4"),
    ("4", "9" * 100_000),
    ("4", " " * 200_000 + "4"),
    ("4", "\\" * 100_000),
    ("4", "{" * 100_000),
    ("4", "a" * 100_000 + "!"),
]


@dataclass(frozen=True)
class Probe(Around):
    """A grader that stands in `folder` while it judges."""

    folder: str

    def row(self, row: Any) -> Verdict:
        os.chdir(self.folder)
        return self.grader.row(row)


class Survived(NamedTuple):
    """What the hostile texts did to one grader."""

    texts: int
    evaluated: int  # the text ran as Python
    hung: int  # longer than `limit_s`
    killed: int  # cut off by time, memory or a crash
    worst_s: float


def survived(pool: Pool, grader: Any, limit_s: float) -> Survived:
    """Give every hostile text to the grader, each in a process of its own that can be killed."""
    evaluated = hung = killed = 0
    worst = 0.0
    texts = [*EVALUATED, *ENDLESS]
    for gold, said in texts:
        with tempfile.TemporaryDirectory() as folder:
            row = {c: None for c in grader.columns} | {"response": f"\\boxed{{{said}}}", "answer": gold}
            began = time.monotonic()
            verdict = pool.run(Probe(grader, folder), row)
            took = time.monotonic() - began
            evaluated += (Path(folder) / "1").exists()
            hung += took > limit_s
            killed += isinstance(verdict, Abstained)
            worst = max(worst, took)
    return Survived(len(texts), evaluated, hung, killed, worst)

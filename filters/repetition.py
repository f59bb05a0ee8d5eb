"""A trace that says the same again and again goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.step import Filter

_CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
WORDS = rf"{_CJK}|[[\p{{L}}\p{{N}}]--{_CJK}]+|[^\s\p{{L}}\p{{N}}]"
"""A word is a run of letters and digits; a CJK character and any other sign are words of their own."""
_BASE = 0x9E3779B97F4A7C15  # odd, so that no power of it vanishes in 64 bits


@dataclass(frozen=True)
class Repetition(Filter):
    """Counts in thinking and response together. DASD (arXiv:2601.09088) drops repetitions by regular
    expressions and n-grams and names no threshold: the three numbers are inferred.

    n, times: some run of n words occurs so often, overlapping ones counted. lines: some line occurs so often,
    white space around it aside; lines without a letter or digit do not count. A model that is caught in a
    loop is found by either; a table or a program of like lines may be, too.
    """

    n: int = 20
    times: int = 4
    lines: int = 8
    reads = ("thinking", "response")
    examples = (
        ({"thinking": "wait, " * 13, "response": "4"}, True),  # 26 words: seven runs of 20, of two kinds
        ({"thinking": "so it is 4.\n" * 8, "response": "4"}, True),
        ({"thinking": "".join(f"step {i} is\nthe same again\n" for i in range(8)), "response": None}, True),
        ({"thinking": "".join(f"step {i} is\nthe same again\n" for i in range(7)), "response": None}, False),
        ({"thinking": None, "response": "First 2 + 2 = 4.\n\n$$\n\n" * 2}, False),
        ({"thinking": None, "response": None}, False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise UserError(f"n={self.n} words are no run; give 1 or more")
        for name in ("times", "lines"):
            if (value := getattr(self, name)) < 2:
                raise UserError(f"{name}={value}: what occurs once is no repetition; give 2 or more")

    def expr(self) -> pl.Expr:
        text = pl.concat_str(pl.col(list(self.reads)).fill_null(""), separator="\n")
        runs = text.str.extract_all(WORDS).list.eval(_most(hashes(self.n)))
        line = pl.element().str.strip_chars()
        lines = text.str.split("\n").list.eval(_most(line.filter(line.str.contains(r"[\p{L}\p{N}]"))))
        words, same = runs.list.first().fill_null(0), lines.list.first().fill_null(0)
        return (
            pl.when(words >= self.times)
            .then(pl.format("{} words in a row occur {} times", pl.lit(self.n), words))
            .when(same >= self.lines)
            .then(pl.format("a line occurs {} times", same))
        )


def hashes(n: int) -> pl.Expr:
    """A number for every n elements in a row, of a list that is evaluated; equal runs have equal numbers."""
    return _rolled(n).drop_nulls()


def _rolled(n: int) -> Any:
    """A polynomial of the elements' hashes modulo 2**64, put together from halves."""
    if n == 1:
        return pl.element().hash()
    head, tail = n - n // 2, n // 2
    shifted = pl.lit(pow(_BASE, tail, 1 << 64), pl.UInt64)
    return _rolled(head) * shifted + _rolled(tail).shift(-head)


def _most(values: pl.Expr) -> pl.Expr:
    """How often the most frequent of them occurs."""
    return values.unique_counts().max()

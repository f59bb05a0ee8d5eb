"""Of each problem's traces only k stay that lie near each other in edit distance: control of `farthest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from curate.distance import comparable, distances
from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class Nearest(Filter):
    """Begins with the two traces at the smallest distance, then takes, again and again, the one whose
    farthest kept trace is nearest. If variety teaches, what stays here teaches less than what `farthest` or
    chance keeps.

    Distance as in `farthest`; ties go by trace_id. Of equal traces both may stay: put it after
    `exact_duplicates`, and after the filter that asks whether a trace is right. It keeps k wherever a problem
    has as many, where `farthest` may keep fewer. A problem that nobody has answered yet stays.
    """

    k: int = 4
    version = 2
    reads = ("problem_id", "trace_id", "thinking", "response")
    example_fields = {"k": 2}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "thinking": "one and one is two", "response": "2"},
                {"problem_id": "p", "trace_id": "t2", "thinking": "1 + 1 = 2", "response": "2"},
                {"problem_id": "p", "trace_id": "t3", "thinking": "one and one is too", "response": "2"},
                {"problem_id": "q", "trace_id": "t4", "thinking": None, "response": "2"},
                {"problem_id": "q", "trace_id": None, "thinking": None, "response": None},
            ],
            [False, True, False, False, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise UserError(f"k={self.k} would keep no trace of any problem; give 1 or more")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        gone: list[tuple[int, str]] = []
        for traces in comparable(frame):
            numbers, kept = traces["row"].to_list(), nearest(traces["text"].to_list(), self.k)
            for i in {*range(len(numbers))} - {*kept}:
                gone.append((numbers[i], f"not among the {len(kept)} that are nearest to each other"))
        return pl.LazyFrame(gone, schema={"row": pl.UInt32, "why": pl.String}, orient="row")


def nearest(texts: Sequence[str], k: int) -> list[int]:
    """The texts that stay, in the order they are taken; equal distances go to the text that comes first."""
    if len(texts) <= k:
        return [*range(len(texts))]
    apart = distances(texts)
    pairs = ((i, j) for i in range(len(texts)) for j in range(i + 1, len(texts)))
    kept = [*min(pairs, key=lambda pair: apart[pair])][:k]
    while len(kept) < k:
        others = (i for i in range(len(texts)) if i not in kept)
        kept.append(min(others, key=lambda i: apart[kept, i].max()))
    return kept

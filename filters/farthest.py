"""Of each problem's traces only k stay that lie far apart in edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from curate.distance import comparable, distances
from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class Farthest(Filter):
    """Begins with the two traces at the largest distance, then takes, again and again, the one whose nearest
    kept trace is farthest: at least half as far apart as the best choice (Gonzalez 1985).

    Distance: Levenshtein, in characters of the thinking (or, without, of the response), divided by the longer
    length, from 0 (equal) to 1. Ties go by trace_id. least: a trace that is nearer than this to a kept one is
    not taken, so a problem may keep fewer than k; 0.05 is inferred. The distance of long independent texts
    hardly varies: look at its spread (the score `distance`) before you believe in the selection.

    It does not ask whether a trace is right: put it after the filter that does. k: DED (arXiv:2508.09883)
    keeps about 4 (derived from its sizes). A problem that nobody has answered yet stays. A pair of 16,000
    characters takes about 7 ms.
    """

    k: int = 4
    least: float = 0.05
    version = 2
    reads = ("problem_id", "trace_id", "thinking", "response")
    example_fields = {"k": 2}
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "thinking": "one and one is two", "response": "2"},
                {"problem_id": "p", "trace_id": "t2", "thinking": "one and one is too", "response": "2"},
                {"problem_id": "p", "trace_id": "t3", "thinking": "1 + 1 = 2", "response": "2"},
                {"problem_id": "q", "trace_id": "t4", "thinking": None, "response": "2"},
                {"problem_id": "q", "trace_id": "t5", "thinking": None, "response": "2"},
                {"problem_id": "q", "trace_id": None, "thinking": None, "response": None},
            ],
            [False, True, False, False, True, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise UserError(f"k={self.k} would keep no trace of any problem; give 1 or more")
        if not 0 <= self.least <= 1:
            raise UserError(f"least={self.least} is no distance; it is a share of the length, from 0 to 1")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        gone: list[tuple[int, str]] = []
        for traces in comparable(frame):
            numbers, ids = traces["row"].to_list(), traces["trace_id"].to_list()
            kept, near = farthest(traces["text"].to_list(), self.k, self.least)
            for i, (distance, other) in near.items():
                stays = f"trace {ids[other]}, which stays with {len(kept) - 1} others"
                gone.append((numbers[i], f"distance {distance:.3f} from {stays}"))
        return pl.LazyFrame(gone, schema={"row": pl.UInt32, "why": pl.String}, orient="row")


def farthest(texts: Sequence[str], k: int, least: float) -> tuple[list[int], dict[int, tuple[float, int]]]:
    """The texts that stay, in the order they are taken; of each other its distance to the nearest of them.

    Equal distances go to the text that comes first.
    """
    if len(texts) < 2:
        return list(range(len(texts))), {}
    apart = distances(texts)
    kept = [0]
    if k > 1:
        first, second = (int(i) for i in divmod(int(apart.argmax()), len(texts)))
        kept = [first, second] if apart[first, second] >= max(least, LEAST) else [0]
    while len(kept) < k and len(kept) > 1:
        nearest = apart[kept].min(axis=0)
        best = int(nearest.argmax())
        if nearest[best] < max(least, LEAST):
            break
        kept.append(best)
    others = (i for i in range(len(texts)) if i not in kept)
    nearest_kept = {i: kept[int(apart[kept, i].argmin())] for i in others}
    return kept, {i: (float(apart[i, j]), j) for i, j in nearest_kept.items()}


LEAST = 1e-9  # equal texts are never both kept

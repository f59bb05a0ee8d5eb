"""A trace has its edit distance to the others of its problem: how much a choice among them can matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.distance import comparable, distances
from curate.step import Score


@dataclass(frozen=True)
class Distance(Score):
    """Levenshtein in characters of the thinking (or, without, of the response), divided by the longer length,
    from 0 (equal) to 1, as the filter `farthest` compares.

    nearest_distance: to the nearest other trace of the problem; mean_distance: the mean over all others. Null
    where there is no other. It belongs to the rows that are in the table when the step is reached: put it
    behind the filter that drops what failed. Long independent texts are all about as far apart: where the
    distances of a problem hardly vary (by less than 0.02, inferred), choosing by them is choosing by chance.
    """

    version = 2
    reads = ("problem_id", "trace_id", "thinking", "response")
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "thinking": "1 + 1", "response": "2"},
                {"problem_id": "p", "trace_id": "t2", "thinking": "1 + 2", "response": "3"},
                {"problem_id": "p", "trace_id": "t3", "thinking": None, "response": "1 + 1 is 2"},
                {"problem_id": "q", "trace_id": "t4", "thinking": None, "response": "2"},
            ],
            [
                dict(nearest_distance=0.2, mean_distance=0.35),
                dict(nearest_distance=0.2, mean_distance=0.35),
                dict(nearest_distance=0.5, mean_distance=0.5),
                dict(nearest_distance=None, mean_distance=None),
            ],
        ),
    )

    @property
    def writes(self) -> dict[str, Any]:
        return {"nearest_distance": pl.Float64, "mean_distance": pl.Float64}

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        found: list[tuple[int, float | None, float | None]] = []
        for traces in comparable(frame):
            apart = distances(traces["text"].to_list())
            for i, row in enumerate(traces["row"]):
                others = [float(d) for j, d in enumerate(apart[i]) if j != i]
                nearest, mean = (min(others), sum(others) / len(others)) if others else (None, None)
                found.append((row, nearest, mean))
        return pl.LazyFrame(found, schema={"row": pl.UInt32, **self.writes}, orient="row")

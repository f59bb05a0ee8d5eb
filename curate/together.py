"""The traces of a problem are held together, and never those of more than a thousand problems at a time."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

PROBLEMS = 1_000


def by_problem(frame: pl.LazyFrame, most: int = PROBLEMS) -> Iterator[pl.DataFrame]:
    """All traces of one problem after the other, ordered by trace_id and row; what is no trace is left out.

    The table is read once for every `most` problems, so its texts need not fit into memory.
    """
    traces = frame.filter(pl.col("trace_id").is_not_null())
    ids = traces.select(pl.col("problem_id").unique()).collect(engine="streaming").sort("problem_id")
    for start in range(0, len(ids), most):
        some = traces.join(ids[start : start + most].lazy(), on="problem_id", how="semi")
        held = some.collect(engine="streaming").sort("problem_id", "trace_id", "row")
        yield from held.partition_by("problem_id", maintain_order=True)

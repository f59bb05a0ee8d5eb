"""The traces of a problem are held together, and never those of more than a thousand problems at a time."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import polars as pl

PROBLEMS = 1_000
FILES, ROWS = 32, 256  # files written at a time, and rows of each that wait in memory


def by_problem(frame: pl.LazyFrame, most: int = PROBLEMS) -> Iterator[pl.DataFrame]:
    """All traces of one problem after the other, ordered by trace_id and row; what is no trace is left out.

    A table of more than `most` problems is first laid out, with neighbouring problems in one file, in the
    system's folder for temporary files (TMPDIR), and so on with a file of too many: the time grows as the
    rows do, and its texts need not fit into memory.
    """
    traces = frame.filter(pl.col("trace_id").is_not_null() & pl.col("problem_id").is_not_null())
    ids = traces.select(pl.col("problem_id").unique()).collect(engine="streaming").to_series().sort()
    if len(ids) <= most:
        held = traces.collect(engine="streaming").sort("problem_id", "trace_id", "row")
        yield from held.partition_by("problem_id", maintain_order=True) if len(ids) else ()
        return
    size = max(most, -(-len(ids) // FILES))
    firsts = ids.gather_every(size, offset=size)  # the first problem of each file but the first
    with TemporaryDirectory(prefix="curate-together-") as folder:
        # The file is looked up, not joined: a join would hold all the texts.
        file = pl.col("problem_id").map_batches(
            lambda problems: firsts.search_sorted(problems, side="right"),
            return_dtype=pl.UInt32,
            is_elementwise=True,
        )
        files = pl.PartitionBy(folder, key=file.alias("file"), include_key=False)
        traces.sink_parquet(files, compression="lz4", row_group_size=ROWS, mkdir=True)
        for i in range(len(firsts) + 1):
            yield from by_problem(pl.scan_parquet(f"{folder}/file={i}/*.parquet"), most)

"""A parquet file written row by row in bounded memory; equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

GROUP_BYTES, GROUP_ROWS = 16 << 20, 20_000  # a row group, and what is held in memory at once
FEW_VALUES = (
    "source",
    "domain",
    "license",
    "model",
    "finish",
    "dropped_by",
)  # columns a dictionary makes smaller


class RowFile:
    """Add rows, then close; a row is a mapping, and what it lacks is null."""

    def __init__(self, path: Path, schema: Mapping[str, Any]) -> None:
        import pyarrow.parquet as pq

        self.rows, self._size = 0, 0
        self._schema = pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self._held: list[Mapping[str, Any]] = []
        self._copied: list[Any] = []  # tables
        few = [name for name in schema if name in FEW_VALUES]
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=few)

    def add(self, row: Mapping[str, Any]) -> None:
        self._held.append(row)
        self._size += 8 * len(row) + sum([len(value) for value in row.values() if type(value) is str])
        self.rows += 1
        if self._size >= GROUP_BYTES or len(self._held) >= GROUP_ROWS:
            self._flush()

    def copy(self, path: Path) -> None:
        """Add the rows of a file that another of these wrote, of the same schema; small groups are joined."""
        import pyarrow.parquet as pq

        assert not self._held, "rows are either added or copied"
        with pq.ParquetFile(path) as file:
            for i in range(file.num_row_groups):
                group = file.read_row_group(i)
                rows = sum(map(len, self._copied)) + len(group)
                if self._copied and (rows > GROUP_ROWS or self._size + group.nbytes > GROUP_BYTES):
                    self._flush()
                self._copied.append(group)
                self._size += group.nbytes
                self.rows += len(group)

    def close(self) -> None:
        """Write what is left and the footer."""
        if self._held or self._copied:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        rows = pa.concat_tables(self._copied or [pa.Table.from_pylist(self._held, schema=self._schema)])
        self._writer.write_table(rows)
        self._held, self._copied, self._size = [], [], 0

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
        few = [name for name in schema if name in FEW_VALUES]
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=few)

    def add(self, row: Mapping[str, Any]) -> None:
        self._held.append(row)
        self._size += 8 * len(row) + sum([len(value) for value in row.values() if type(value) is str])
        self.rows += 1
        if self._size >= GROUP_BYTES or len(self._held) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and the footer."""
        if self._held:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._held, schema=self._schema))
        self._held, self._size = [], 0

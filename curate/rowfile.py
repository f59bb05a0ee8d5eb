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
        self._least = 8 * len(self._schema)
        self._held: list[Mapping[str, Any]] = []
        self._copied: list[Any] = []  # tables
        few = [name for name in schema if name in FEW_VALUES]
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=few)

    def add(self, row: Mapping[str, Any]) -> None:
        self._held.append(row)
        self._size += self._least + sum([len(value) for value in row.values() if type(value) is str])
        self.rows += 1
        if self._size >= GROUP_BYTES or len(self._held) >= GROUP_ROWS:
            self._flush()

    def copy(self, path: Path) -> None:
        """Add the rows of another such file; the bytes are those that `add` would write."""
        import numpy as np
        import pyarrow.parquet as pq

        assert not self._held, "rows are either added or copied"
        with pq.ParquetFile(path) as file:
            for i in range(file.num_row_groups):
                rest = file.read_row_group(i)
                while len(rest):
                    ends = self._size + np.cumsum(_sizes(rest))
                    room = GROUP_ROWS - sum(map(len, self._copied))
                    rows = min(int(np.searchsorted(ends, GROUP_BYTES)) + 1, room, len(rest))
                    self._copied.append(rest.slice(0, rows))
                    self.rows, self._size = self.rows + rows, int(ends[rows - 1])
                    if self._size >= GROUP_BYTES or rows == room:
                        self._flush()
                    rest = rest.slice(rows)

    def close(self) -> None:
        """Write what is left and the footer."""
        if self._held or self._copied:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        rows = pa.concat_tables(self._copied or [pa.Table.from_pylist(self._held, schema=self._schema)])
        self._writer.write_table(rows.combine_chunks())
        self._held, self._copied, self._size = [], [], 0


def _sizes(table: Any) -> Any:
    """What each row of a table counts as in `add`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [column for column in table.columns if pa.types.is_large_string(column.type)]
    return 8 * table.num_columns + sum(pc.utf8_length(t).fill_null(0).to_numpy() for t in texts)

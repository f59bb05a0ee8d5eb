"""Files that are either whole or not there: parts, tables, JSON; and a table's rows, a few at a time."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import RunError

ROWS_PER_GROUP = (
    2_000  # small enough that a group of the longest traces fits in memory, and fixed, so bytes repeat
)
logger = logging.getLogger(__name__)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to; afterwards the file is on disk under `path`, or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sink(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """A lazy sink of `frame` into `path`, for pl.collect_all; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "zstd", "row_group_size": ROWS_PER_GROUP, "maintain_order": True}
    return frame.sink_parquet(path, lazy=True, **options)  # type: ignore[call-overload]


def add_part(folder: Path, rows: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    """Append rows to a folder of parts, as one new file that is whole or absent."""
    with whole(folder / f"{uuid.uuid4().hex}.parquet") as temporary:
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(temporary, compression="zstd")


def scan_parts(folder: Path, schema: dict[str, Any]) -> pl.LazyFrame:
    """All rows of a folder of parts. A torn part is set aside as `.torn`, with a warning."""
    good = []
    for path in sorted(folder.glob("*.parquet")):
        if _is_whole(path):
            good.append(path)
        else:
            path.rename(path.with_suffix(".torn"))
            logger.warning("%s was torn and is set aside as .torn; its rows are asked again", path)
    return pl.scan_parquet(good, schema=schema) if good else pl.LazyFrame(schema=schema)


def _is_whole(path: Path) -> bool:
    with open(path, "rb") as f:
        head = f.read(4)
        f.seek(0, os.SEEK_END)
        if f.tell() < 12 or head != b"PAR1":
            return False
        f.seek(-4, os.SEEK_END)
        return f.read(4) == b"PAR1"


def count(path: Path) -> int:
    """The number of rows of a parquet file, from its footer."""
    import pyarrow.parquet

    return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)


def iter_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file as dictionaries, a few in memory at a time, in order."""
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=256):
        yield from batch.to_pylist()


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk has no room left; three libraries say it in three ways."""
    return any(s in str(error).lower() for s in ("no space left", "disk is full", "disk quota"))


@contextmanager
def full_disk_in_one_sentence(folder: Path) -> Iterator[None]:
    """Turns every kind of "no space left" into one RunError."""
    try:
        yield
    except (OSError, sqlite3.OperationalError, pl.exceptions.ComputeError) as e:
        if not is_full(e):
            raise
        raise RunError(
            f"the disk of {folder} is full; free some space and run the same command again: "
            "every answer that was saved is kept"
        ) from e

"""Files that are either whole or not there: parts, tables, JSON; and a table's rows, a few at a time."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import InputError, RunError

ROWS_PER_GROUP = 2_000  # so few that a group of the longest traces fits in memory; fixed, so bytes repeat
SHA256_HEX = 64  # parts of earlier versions have shorter names, which say nothing of their bytes
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


def read_json(path: Path, is_whole: Callable[[Any], bool], remedy: str) -> Any:
    """What `write_json` wrote there. InputError where somebody else has; remedy says what to do then."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no {path}; {remedy}") from None
    except ValueError as e:  # of JSON, and of UTF-8
        raise InputError(f"{path} is damaged ({e}); {remedy}") from None
    if not is_whole(found):
        raise InputError(f"{path} is damaged (it holds {str(found)[:40]}); {remedy}")
    return found


def sink(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """A lazy sink of `frame` into `path`, for pl.collect_all; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "zstd", "row_group_size": ROWS_PER_GROUP, "maintain_order": True}
    return frame.sink_parquet(path, lazy=True, **options)  # type: ignore[call-overload]


def add_part(folder: Path, rows: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    """Append rows to a folder of parts, as one new file that is whole or absent.

    Its name is the SHA-256 of its bytes, so `sha256sum` can tell whether it is still what was written.
    """
    buffer = io.BytesIO()
    _frame(rows, schema).write_parquet(buffer, compression="zstd")
    name = hashlib.sha256(buffer.getbuffer()).hexdigest()
    with whole(folder / f"{name}.parquet") as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    """By way of Arrow, which is several times as fast as polars where values are nested."""
    import pyarrow as pa

    columns = pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    frame = pl.from_arrow(pa.Table.from_pylist(rows, schema=columns))
    assert isinstance(frame, pl.DataFrame)
    return frame


def scan_parts(folder: Path, schema: dict[str, Any]) -> pl.LazyFrame:
    """All rows of a folder of parts."""
    parts = sorted(folder.glob("*.parquet"))
    return pl.scan_parquet(parts, schema=schema) if parts else pl.LazyFrame(schema=schema)


def damaged(folder: Path) -> list[Path]:
    """The parts that are not what was written."""
    parts = sorted(folder.glob("*.parquet"))
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # hashing and reading let go of the interpreter
        sound = list(threads.map(_is_sound, parts))
    return [p for p, good in zip(parts, sound, strict=True) if not good]


def leave_out_damaged(folder: Path, out: Path) -> None:
    """Where a part is damaged, `out` has links to all that is not, with a warning; nothing is renamed."""
    if bad := damaged(folder):
        out.mkdir(parents=True)
        for path in set(folder.iterdir()) - set(bad):
            (out / path.name).symlink_to(path.resolve())
        for path in bad:
            logger.warning("%s is damaged; a run sets it aside and asks its rows again", path)


def set_aside_damaged(folder: Path) -> None:
    """Rename every part that is not what was written to `.damaged`, with a warning; the others are read."""
    for path in damaged(folder):
        path.rename(path.with_suffix(".damaged"))
        logger.warning("%s is damaged and set aside as .damaged; its rows are asked again", path)


def _is_sound(path: Path) -> bool:
    """Its bytes are those that were written, as far as its name says; else it begins and ends as parquet."""
    with open(path, "rb") as f:
        if len(path.stem) == SHA256_HEX:
            return hashlib.file_digest(f, "sha256").hexdigest() == path.stem
        head, size = f.read(4), f.seek(0, os.SEEK_END)
        f.seek(max(size - 4, 0))
        return size >= 12 and head == f.read(4) == b"PAR1"


def count(path: Path) -> int:
    """The number of rows of a parquet file, from its footer."""
    import pyarrow.parquet

    return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)


def iter_rows(path: Path, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file as dictionaries, a few in memory at a time, in order.

    start, stop: only these rows; groups of rows that hold none of them are not read.
    """
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    begins = list(itertools.accumulate(sizes, initial=0))
    end = begins[-1] if stop is None else stop
    groups = [i for i in range(len(sizes)) if begins[i] < end and begins[i + 1] > start]
    at = begins[groups[0]] if groups else end
    for batch in file.iter_batches(batch_size=256, row_groups=groups):
        first, last = max(start - at, 0), min(end - at, len(batch))
        at += len(batch)
        if first < last:
            yield from batch.slice(first, last - first).to_pylist()


def disk_trouble(error: BaseException, folder: Path) -> str:
    """What an error says of the folder's disk, empty where it says nothing; libraries say it in many ways."""
    said = str(error).lower()
    if any(words in said for words in ("no space left", "disk is full", "disk quota")):
        return f"the disk of {folder} is full; free some space"
    if not (isinstance(error, sqlite3.Error) or str(folder) in str(error)):
        return ""
    if any(words in said for words in ("read-only", "readonly", "permission denied", "not permitted")):
        return f"{folder} cannot be written to ({error}); make it writable"
    if any(words in said for words in ("input/output error", "disk i/o error", "malformed")):
        return f"the disk of {folder} fails ({error}); look after it"
    return ""


@contextmanager
def disk_trouble_in_one_sentence(folder: Path) -> Iterator[None]:
    """Turns every kind of "no space left", "read-only" and "I/O error" into one RunError."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError, pl.exceptions.ComputeError) as e:
        if not (words := disk_trouble(e, folder)):
            raise
        raise RunError(f"{words} and run the same command again: every answer that was saved is kept") from e

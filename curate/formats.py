"""What people already have becomes a stream of records: JSON lines, CSV, parquet, a folder of them.

Nothing here knows what a column means. A record that cannot be read says why, with its line or row number; a
whole input that cannot be read is an InputError. Memory is bounded: lines and batches, never a table.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from curate.errors import InputError, near

MAX_LINE_MB = 64
BATCH_BYTES, BATCH_ROWS = 8 << 20, 20_000
LINES = (".jsonl", ".ndjson", ".json-lines", ".json")
TABLES = (".csv", ".parquet")
PACKED = (".gz", ".zst")
BOM = b"\xef\xbb\xbf"
_decode = json.JSONDecoder(parse_constant=str).decode  # NaN has no place in the JSON of `extra`


class Record(NamedTuple):
    """One input row: its values, or why there are none. `size` is in bytes, about."""

    where: str  # "line 12" or "row 12", from 1
    size: int
    values: dict[str, Any] | None
    why: str = ""
    raw: str = ""  # the beginning of what could not be read


class Slice(NamedTuple):
    """Some of a file's records: lines in a range of bytes, or a run of row groups; else always all."""

    path: Path
    where: str  # what errors call it
    start: int = 0
    stop: int | None = None  # None: the end of the file
    first: int = 1  # the number of the first line or row


def is_readable(path: Path) -> bool:
    """Whether the name's ending is one we read."""
    return _kind(path) in (*LINES, *TABLES)


def is_dataset_folder(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote it."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_file(path: Path) -> Iterator[Record]:
    """The records of one file, in order."""
    yield from read_slice(Slice(path, str(path)))


def read_slice(of: Slice) -> Iterator[Record]:
    """The records of a slice, in order."""
    if not is_readable(path := of.path):
        known = ", ".join((*LINES, *TABLES))
        ending = path.suffix or "a name without an ending"
        raise InputError(
            f"{of.where}: no reader for {ending}; there is {known}, lines and CSV also as .gz and .zst"
        )
    try:
        if _kind(path) == ".parquet":
            yield from _parquet(of)
        else:
            with _open(path) as file:
                yield from _csv(of.where, file) if _kind(path) == ".csv" else _json_lines(file, of)
    except (EOFError, zlib.error, OSError) as e:
        raise InputError(f"{of.where} cannot be read to its end ({e}); download or write it again") from None


@contextmanager
def opened_parquet(path: Path, where: str) -> Iterator[Any]:
    """The file, whose metadata say what is in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as e:
        raise InputError(f"{where} is not a readable parquet file ({e})") from None


def _parquet(of: Slice) -> Iterator[Record]:
    with opened_parquet(of.path, of.where) as file:
        meta = file.metadata
        total = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        rows = max(1, min(1024, BATCH_BYTES * max(1, meta.num_rows) // max(1, total)))
        groups = range(meta.num_row_groups)[of.start : of.stop]
        found = (row for b in file.iter_batches(batch_size=rows, row_groups=groups) for row in sized(b))
        for number, (size, values) in enumerate(found, of.first):
            yield Record(f"row {number}", size, values)


def sized(batch: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    size = batch.nbytes // max(1, batch.num_rows)
    return ((size, row) for row in batch.to_pylist())


def _json_lines(file: BinaryIO, of: Slice) -> Iterator[Record]:
    if of.start:
        file.seek(of.start)
    left = math.inf if of.stop is None else of.stop - of.start
    for number, (line, size) in enumerate(_lines(file, left), of.first):
        if size > len(line):
            why = f"the line has {size / 2**20:.1f} MB; at most {MAX_LINE_MB} MB can be read"
        elif not line.strip():
            continue
        else:
            values, why = _json(line.removeprefix(BOM) if number == 1 else line)
            if not why:
                yield Record(f"line {number}", size, values)
                continue
        yield Record(f"line {number}", size, None, why, line[:4000].decode("utf-8", "replace").rstrip("\r\n"))


def _json(line: bytes) -> tuple[dict[str, Any] | None, str]:
    if b"\0" in line:
        return None, "a NUL byte"
    if line.startswith(BOM):
        return None, "not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 1"
    try:
        values = _decode(line.decode("utf-8"))
    except UnicodeDecodeError as e:
        return None, f"invalid UTF-8 at byte {e.start + 1}"
    except json.JSONDecodeError as e:
        return None, f"not JSON: {e.msg} at character {e.pos + 1}"
    except (ValueError, RecursionError) as e:
        return None, f"not JSON that can be read: {e}"
    return (values, "") if isinstance(values, dict) else (None, f"JSON, but no object: {str(values)[:40]!r}")


def _lines(file: BinaryIO, left: float = math.inf) -> Iterator[tuple[bytes, int]]:
    """Each line and its size, of so many bytes; of a line that is too long, only its beginning."""
    limit = MAX_LINE_MB << 20
    while left > 0 and (line := file.readline(limit + 1)):
        size = len(line)
        if size > limit:
            line, last = line[:4000], line[-1:]
            while last != b"\n" and (more := file.readline(1 << 20)):
                size, last = size + len(more), more[-1:]
        yield line, size
        left -= size


def _csv(where: str, file: BinaryIO) -> Iterator[Record]:
    """CSV with a header; all values are text and an empty one is null, so that "072" stays what it is."""

    def text() -> Iterator[str]:
        for number, (line, size) in enumerate(_lines(file), 1):
            if size > len(line):  # where its last quote is, nobody knows: nothing after it can be read either
                raise InputError(
                    f"{where} line {number} has {size / 2**20:.1f} MB; at most {MAX_LINE_MB} MB can be read"
                )
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")

    before = csv.field_size_limit(MAX_LINE_MB << 20)
    try:
        rows = csv.reader(text(), strict=True)
        header = next(rows, [])
        if double := [name for name in header if header.count(name) > 1]:
            raise InputError(f"{where}: the header names {double[0]!r} twice; rename one")
        for cells in filter(None, rows):
            at, size, raw = f"line {rows.line_num}", sum(map(len, cells)), ",".join(cells)
            if len(cells) == len(header):
                yield Record(at, size, {k: v or None for k, v in zip(header, cells, strict=True)})
            else:
                yield Record(at, size, None, f"{len(cells)} fields under a header of {len(header)}", raw)
    except csv.Error as e:
        raise InputError(f"{where} line {rows.line_num} is not CSV: {e}") from None
    finally:
        csv.field_size_limit(before)


def _open(path: Path) -> Any:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"), 1 << 20)
    if path.suffix == ".zst":
        import pyarrow as pa  # it says when a file ends in the middle, which the zstandard package does not

        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), 1 << 20)
    return path.open("rb", 1 << 20)


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records, as many at a time as memory is given to them."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += record.size
        if size >= BATCH_BYTES or len(batch) >= BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def files_of(path: Path, name: str | None, split: str | None) -> list[Path]:
    """The files of a folder in the order of their names; of one split, where it is given."""
    if path.is_file():
        return [path]
    if (path / "begun.json").is_file():
        raise InputError(
            f"{path} is the folder of a run: read {path / 'live.parquet'}, its rows, or dropped.parquet "
            "beside it; where they are not there yet, the run is not finished"
        )
    root = path / name if name else path
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    if is_dataset_folder(path):
        return files
    files = [p for p in files if is_readable(p) and p.suffix != ".json"]
    found = [p for p in files if split is None or p.name.startswith(split) or p.parent.name == split]
    if not found:
        said = f"of the split {split!r}" if files else "with JSON lines, CSV or parquet"
        raise InputError(
            f"{root} holds no file {said}; it has {', '.join(p.name for p in files[:10]) or 'none'}"
        )
    return found


def missing(path: Path) -> InputError:
    """The error for a path that is not there, with the names that are."""
    folder = path.parent
    if not folder.is_dir():
        return InputError(f"{path} does not exist, and neither does its folder {folder}")
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    hint = near(path.name, names)
    if len(names) > 12 and hint.startswith("there is"):
        hint = f"the folder holds {len(names)} other names"
    return InputError(f"{path} does not exist; looking in its folder: {hint}")

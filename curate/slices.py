"""An input is read in parts, by this process or by the hosts of a cluster, and both make the same rows of it.

A part is a slice of a file: JSON lines are cut at line ends, parquet between row groups, other files not at
all. What is no file (a frame, a dataset) is one part, and this process reads it. A host writes the rows of a
part into files of their own, and the driver joins them in the order of the input.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate import formats
from curate.aliases import BadRow, to_rows
from curate.cluster import Cluster
from curate.errors import InputError
from curate.formats import Record, Slice
from curate.named import needed_by, values_of
from curate.parts import whole
from curate.rowfile import RowFile
from curate.schema import DROPPED, ROW, to_json

SLICE_BYTES = 32 << 20  # of a file, about; hosts read an input that has more
RAW_CHARS = 1000  # so much of an unreadable row is kept
NO_TRACE = "no trace: neither thinking nor a response"
BAR: dict[str, Any] = {"desc": "read", "unit": " rows", "disable": None}


class Part(NamedTuple):
    """Records of the input that are read together. columns: those that the caller of `read` names."""

    label: str | None  # the name of the dataset it is
    where: str
    columns: Mapping[str, str | pl.Expr]
    records: Slice | Iterable[Record]
    names: set[str]  # of columns that this process has seen in earlier parts of the same file
    stamp: tuple[int, int] | None = None  # of the file


class Taken(NamedTuple):
    """A part that was read into files of its own, or the error that ended it."""

    rows: int
    unreadable: int
    why: str  # of the first of those
    error: str = ""


def cut(path: Path, digest: Any, in_one: bool) -> Iterator[Slice]:
    """The slices of a file in order; once all are taken, its hash is in `digest`. in_one: do not cut."""
    size, is_lines = SLICE_BYTES, path.suffix.lower() in formats.LINES
    hashed, place = hashlib.blake2b(), Slice(path.absolute(), str(path))
    begin = at = ends = 0
    with path.open("rb") as file:
        while chunk := file.read(min(1 << 20, size)):
            hashed.update(chunk)
            ends += chunk.count(b"\n")
            stop = at + chunk.rfind(b"\n") + 1  # no further than before, where no line ends here
            if is_lines and not in_one and stop > at and stop - begin >= size:
                yield place._replace(start=begin, stop=stop)
                place, begin = place._replace(first=ends + 1), stop
            at += len(chunk)
    digest.update(hashed.digest())
    if path.suffix.lower() == ".parquet" and not in_one:
        yield from _row_groups(place)
    else:
        yield place._replace(start=begin, stop=at) if is_lines else place


def _row_groups(place: Slice) -> Iterator[Slice]:
    with formats.opened_parquet(place.path, place.where) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
    start, first, rows, size = 0, 1, 0, 0
    for stop, (more, their_size) in enumerate(sizes, 1):
        rows, size = rows + more, size + their_size
        if size >= SLICE_BYTES or stop == len(sizes):
            yield place._replace(start=start, stop=stop, first=first)
            start, first, rows, size = stop, first + rows, 0, 0


def convert(part: Part, traces: bool) -> Iterator[dict[str, Any]]:
    """Our rows, and with a `why` those that cannot be read. traces: a row without one is set aside."""
    label, where, columns, records, names, _ = part
    used = {said for said in columns.values() if isinstance(said, str)}
    if columns and not names and isinstance(records, Slice) and records.start:
        names.update(_known_before(records, columns))
    for batch in formats.batches(formats.read_slice(records) if isinstance(records, Slice) else records):
        rows = [record.values for record in batch if record.values is not None]
        names.update(name for row in rows for name in row)
        mapped = iter(values_of(columns, rows, names, where))
        for record in batch:
            if record.values is None:
                yield _unreadable(label, where, record, record.why)
                continue
            rest = record.values
            if used:
                rest = {name: value for name, value in rest.items() if name not in used}
            try:
                for row in to_rows(rest, next(mapped), label):
                    bare = traces and row["trace_id"] is None
                    yield {**row, "dropped_by": "read", "why": NO_TRACE} if bare else row
            except BadRow as e:
                yield _unreadable(label, where, record, str(e))


def _known_before(later: Slice, columns: Mapping[str, str | pl.Expr]) -> set[str]:
    """What the columns are made of, if there is a row before this slice: reading stops where it lacks one."""
    before = formats.read_slice(later._replace(start=0, stop=later.start, first=1))
    if any(record.values is not None for record in before):
        return {name for said in columns.values() for name in needed_by(said)}
    return set()


def _unreadable(label: str | None, where: str, record: Record, why: str) -> dict[str, Any]:
    raw = record.raw if record.values is None else to_json(record.values)
    extra = {"file": where, "at": record.where, "bytes": record.size, "raw": raw[:RAW_CHARS]}
    return {
        "problem_id": None,
        "source": label,
        "extra": to_json(extra).replace("\0", ""),
        "dropped_by": "read",
        "why": f"{where} {record.where}: {why}",
    }


@contextmanager
def tables(rows: Path, unreadable: Path) -> Iterator[tuple[RowFile, RowFile]]:
    """Two files to add to, then whole or not there; the second is only there where it has a row."""
    with ExitStack() as stack:
        enter = stack.enter_context
        good = enter(closing(RowFile(enter(whole(rows)), ROW)))
        bad = enter(closing(RowFile(enter(whole(unreadable)), {**ROW, **DROPPED})))
        yield good, bad
    if not bad.rows:
        unreadable.unlink(missing_ok=True)  # a host that was taken for dead may do the same


def put(rows: Iterable[dict[str, Any]], good: RowFile, bad: RowFile, strict: bool) -> str:
    """Add each row where it belongs; why the first of the bad went. strict: raise InputError for it."""
    first = ""
    for row in rows:
        if "why" not in row:
            good.add(row)
            continue
        if strict and row["why"] != NO_TRACE:
            raise InputError(
                f'{row["why"]}; or read the others with bad_rows="set_aside" (--bad-rows set_aside)'
            )
        bad.add(row)
        first = first or row["why"]
    return first


def stamp(path: Path) -> tuple[int, int] | None:
    """By what a host knows the driver's file: its size, and when it was changed."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None


@dataclass(frozen=True)
class Reader:
    """Reads parts into files of a folder. strict: up to the first row that cannot be read."""

    folder: Path
    traces: bool
    strict: bool

    def files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number}.parquet", self.folder / f"{number}.unreadable.parquet"

    def take(self, number: int, part: Part) -> Taken:
        """Read a part into files of its own."""
        try:
            with tables(*self.files(number)) as (good, bad):
                why = put(convert(part, self.traces), good, bad, self.strict)
        except InputError as e:
            return Taken(0, 0, "", str(e))
        return Taken(good.rows, bad.rows, why)

    def take_there(self, number: int, part: Part) -> Taken | None:
        """`take` on a host; None where its machine does not have the file, as the driver does."""
        assert isinstance(part.records, Slice)
        return self.take(number, part) if stamp(part.records.path) == part.stamp else None


def gather(parts: Iterator[Part], over: Cluster, reader: Reader, good: RowFile, bad: RowFile) -> str:
    """Read the parts, those of files on hosts, and join them in order; why the first of the bad rows is one.

    Raises InputError for the first part that has an error, in the order of the input.
    """
    from tqdm import tqdm

    reader.folder.mkdir(exist_ok=True)
    first = ""
    with tqdm(**BAR) as bar:
        for number, taken in _in_order(parts, over, reader):
            if taken.error:
                raise InputError(taken.error)
            for file, rows, path in zip((good, bad), taken[:2], reader.files(number), strict=True):
                if rows:
                    file.copy(path)
                path.unlink(missing_ok=True)
            first = first or taken.why
            bar.update(taken.rows + taken.unreadable)
    shutil.rmtree(reader.folder, ignore_errors=True)
    return first


def _in_order(parts: Iterator[Part], over: Cluster, reader: Reader) -> Iterator[tuple[int, Taken]]:
    """Parts as they are taken. After an error no more are begun, and those before it are waited for."""
    taken: dict[int, Taken] = {}
    given: dict[int, Part] = {}

    def for_hosts() -> Iterator[tuple[int, Callable[[], Taken | None]]]:
        number = -1
        try:
            for number, part in enumerate(parts):
                if any(each.error for each in taken.values()):
                    return
                if isinstance(part.records, Slice):
                    given[number] = part
                    yield number, partial(reader.take_there, number, part)
                else:
                    taken[number] = reader.take(number, part)
        except InputError as e:
            taken[number + 1] = Taken(0, 0, "", str(e))

    at = 0
    for number, found in chain(over.read(reader.folder, for_hosts()), [(None, None)]):
        if number is not None:
            part = given.pop(number)
            taken[number] = found or reader.take(number, part)
        while at in taken:
            yield at, taken.pop(at)
            at += 1

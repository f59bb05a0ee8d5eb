"""`read` names a source of problems or traces; `Source.load` writes its rows as one table in our columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import polars as pl

from curate import formats, hub, slices
from curate.aliases import ALIASES, COLUMNS
from curate.cluster import Cluster
from curate.errors import InputError, near
from curate.formats import Record
from curate.golds import unreadable_golds
from curate.identity import describe
from curate.named import known, needs_all, told
from curate.pool import Pool
from curate.schema import to_json
from curate.slices import BAR, NO_TRACE, Part, Reader, convert, cut, gather, put, stamp, tables
from curate.step import Verifier

Input = str | Path | pl.DataFrame | pl.LazyFrame


class Loaded(NamedTuple):
    """What `Source.load` wrote. read: how many rows there are in both files together."""

    rows: Path  # schema.ROW
    unreadable: Path | None  # schema.ROW and DROPPED
    read: int
    revision: str  # a hash of the input


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """Where rows come from, and how its columns are called. Inert: only `load` reads."""

    inputs: tuple[str | pl.LazyFrame, ...]
    name: str | None
    split: str | None
    bad_rows: Literal["error", "set_aside"]
    columns: Mapping[str, str | pl.Expr]
    problems: int | None = None
    traces: bool = False  # whether a row without a trace is set aside

    def head(self, n: int) -> Source:
        """The first n distinct problems: reading stops at the first row of the next one."""
        if n < 1:
            raise InputError(f"head({n}) is no problem at all; ask for 1 or more")
        return replace(self, problems=n if self.problems is None else min(n, self.problems))

    def describe(self) -> dict[str, Any]:
        """This source as JSON, for the recipe; paths as they were given."""
        frames = [i if isinstance(i, str) else {"frame": i.collect_schema().names()} for i in self.inputs]
        said = {"name": self.name, "split": self.split, "problems": self.problems}
        said |= {"columns": describe(self.columns)}
        return {"source": frames, "bad_rows": self.bad_rows} | {k: v for k, v in said.items() if v}

    def __repr__(self) -> str:
        shown = [repr(i) if isinstance(i, str) else "<frame>" for i in self.inputs]
        said = [f"{k}={v!r}" for k, v in (("name", self.name), ("split", self.split)) if v]
        said += [f"{k}={v if isinstance(v, pl.Expr) else repr(v)}" for k, v in self.columns.items()]
        head = "" if self.problems is None else f".head({self.problems})"
        return f"read({', '.join([*shown, *said])}){head}"

    def golds(self, *verifiers: Verifier) -> pl.DataFrame:
        """The golds that none of these verifiers passes against themselves: answer, question, rows, why."""
        with TemporaryDirectory(prefix="curate-golds-") as folder, Pool() as pool:
            rows = pl.scan_parquet(self.load(Path(folder)).rows)
            return unreadable_golds(verifiers, rows, Path(folder), pool)[0]

    def load(self, folder: Path, over: Callable[[], Cluster] | None = None) -> Loaded:
        """Write the rows to rows.parquet in `folder`, and what is set aside to unreadable.parquet.

        Raises InputError where no row is left, and for the first bad row unless they are set aside.

        over: a cluster whose hosts read files, where there is much of them; its start is put off till then.
        """
        from tqdm import tqdm

        rows, unreadable = folder / "rows.parquet", folder / "unreadable.parquet"
        digest, strict = hashlib.blake2b(digest_size=16), self.bad_rows == "error"
        with tables(rows, unreadable) as (good, bad):
            parts = self._parts(folder, digest)
            if over is not None and self.problems is None and self._bytes() > slices.SLICE_BYTES:
                reader = Reader((folder / "parts").absolute(), self.traces, strict)
                first = gather(parts, over(), reader, good, bad)
            else:
                first = put(tqdm(self._rows(parts), **BAR), good, bad, strict)
            if not good.rows:
                raise InputError(f"{self!r} has {_nothing(first)}")
        return Loaded(rows, unreadable if bad.rows else None, good.rows + bad.rows, digest.hexdigest())

    def _rows(self, parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
        """Our rows, and with a `why` those that cannot be read, in the order of the input."""
        seen: set[str] = set()
        for part in parts:
            for row in convert(part, self.traces):
                if self.problems is not None and row["problem_id"] not in seen and "why" not in row:
                    if len(seen) == self.problems:
                        return
                    seen.add(row["problem_id"])
                yield row

    def _bytes(self) -> int:
        """How large the files are, about: packed ones as they lie there."""
        paths = [Path(told(given)[0]) for given in self.inputs if isinstance(given, str)]
        files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
        return sum(file.stat().st_size for file in files if file.is_file())

    def _parts(self, folder: Path, digest: Any) -> Iterator[Part]:
        """The parts of all inputs, in order; their hash is in `digest` when they have been read."""
        for given in self.inputs:
            base, named = told(given)
            columns = {**named, **self.columns}
            if isinstance(base, pl.LazyFrame):
                copy = folder / "frame.parquet.tmp"
                base.sink_parquet(copy)
                _hash_file(copy, digest)
                records = formats.read_file(copy.rename(folder / "frame.parquet"))
                yield Part(None, "the frame", columns, records, set())
                (folder / "frame.parquet").unlink()
            elif not Path(base).exists():
                found = hub.read_hub(base, self.name, self.split, streaming=self.problems is not None)
                yield Part(base, base, columns, _hashed(found, digest), set())
            else:
                yield from self._parts_of(Path(base), base, columns, digest)

    def _parts_of(
        self, path: Path, base: str, columns: Mapping[str, str | pl.Expr], digest: Any
    ) -> Iterator[Part]:
        files = formats.files_of(path, self.name, self.split)
        if path.is_dir() and formats.is_dataset_folder(path):
            for file in files:
                _hash_file(file, digest)
            yield Part(path.name, base, columns, hub.read_folder(path, self.split), set())
            return
        label = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
        in_one = self.problems is not None or needs_all(columns)
        parts = (part for file in files for part in _cut(file, label, columns, in_one, digest))
        yield from parts if self.problems is None else list(parts)  # all are hashed, and few are read


def read(
    source: Input | Sequence[str | Path],
    /,
    name: str | None = None,
    *,
    split: str | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
    **columns: str | pl.Expr,
) -> Source:
    """A source of problems or traces: a file, a folder, several of them, a frame, or a dataset on the Hub.

    JSON lines, CSV (both also as .gz and .zst) and parquet, a folder of them or of `datasets`, or a hub id.
    The usual column names are understood; others are given as our name = the input's name, or = an expression
    over the input's columns, row by row: `answer=pl.col("answer").str.split("#### ").list.last()`.
    A source that is a text may name them itself, as a command line has to: `FILE?question=query`.
    Reads nothing yet.

    name: the configuration of a hub dataset, or a folder in a folder.
    split: where there are several, train unless given.
    bad_rows: what cannot be read stops with its line number, or is set aside with it.
    """
    for column, said in columns.items():
        if column not in COLUMNS:
            raise InputError(f"read has no column {column!r} to fill: {near(column, COLUMNS)}")
        if not isinstance(said, (str, pl.Expr)):
            raise InputError(f"{column}={said!r} is neither the name of a column nor a polars expression")
    if bad_rows not in ("error", "set_aside"):
        raise InputError(f"bad_rows is {bad_rows!r}; it is error or set_aside")
    given = [source] if isinstance(source, (str, Path, pl.DataFrame, pl.LazyFrame)) else list(source)
    if not given:
        raise InputError("read was given no source: name a file, a folder or a hub id")
    return Source(tuple(map(known, given)), name, split, bad_rows, dict(columns))


def as_source(
    given: Source | Input | Sequence[str | Path], bad_rows: Literal["error", "set_aside"] = "error"
) -> Source:
    """What `read` makes of it; a Source stays as it is, it has its own `bad_rows`."""
    return given if isinstance(given, Source) else read(given, bad_rows=bad_rows)


def as_traces(given: Source | Sequence[str], bad_rows: Literal["error", "set_aside"]) -> Source:
    """`as_source`, for what works on traces: a row that holds none is set aside, and not all of them may."""
    return replace(as_source(given, bad_rows), traces=True)


def _nothing(first: str) -> str:
    """What an input has of which no row is left. first: why the first of them went."""
    if first != NO_TRACE:
        return f"no row that can be read: {first}" if first else "no row: it is empty"
    texts = ", ".join(name for c in ("response", "thinking") for name in (c, *ALIASES[c]))
    return (
        f"no row with a trace: I looked for {texts}, and for a turn of the assistant in messages; name the "
        "column with response=…, on the command line as FILE?response=…; where these are problems, let a "
        "method that samples ask a teacher first, such as rejection_sampling"
    )


def _hash_file(path: Path, digest: Any) -> None:
    with path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "blake2b").digest())


def _cut(
    file: Path, label: str, columns: Mapping[str, str | pl.Expr], in_one: bool, digest: Any
) -> Iterator[Part]:
    names: set[str] = set()
    for piece in cut(file, digest, in_one):
        yield Part(label, piece.where, columns, piece, names, stamp(file))


def _hashed(records: Iterable[Record], digest: Any) -> Iterator[Record]:
    for record in records:
        digest.update(to_json(record.values or {}).encode())
        yield record

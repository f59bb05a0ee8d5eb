"""A table becomes parquet shards, and a finished folder takes the old one's place, or nothing changes.

A publication is built in a hidden folder inside the target. One rename declares it ready; from then on it is
installed piece by piece, and an installation that was killed is finished by the next publication. Before that
rename the old set is untouched. What this does not do: guard against two processes publishing to one folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.card import BEGIN
from curate.errors import InputError
from curate.schema import content_hash

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_BYTES = 100_000_000  # uncompressed: what the Hub's viewer reads in one go
SHARD_BYTES = 500_000_000  # uncompressed: a download that can be repeated when it breaks
BATCH_ROWS = 256

BUILDING, READY, OLD = ".curate-building", ".curate-ready", ".curate-old"
PARTS = ("data", "recipe.json", "README.md")  # in the order of installation


def stage(frame: pl.LazyFrame, folder: Path) -> dict[str, Path]:
    """Evaluate the table once, into a folder of parquet for each domain; {config name: folder}.

    The order of rows within a domain is kept. An empty table gives no folder at all.
    """

    def place(part: Any) -> str:  # a hash: a domain may be too long for a file name, or differ only in case
        return f"{content_hash(part.partition_keys.item())}/{part.index_in_partition:08d}.parquet"

    by_domain = pl.PartitionBy(folder, key="domain", include_key=True, file_path_provider=place)
    frame.sink_parquet(
        by_domain, mkdir=True, compression="lz4", row_group_size=4 * BATCH_ROWS, maintain_order=True
    )
    found = {_domain(p): p for p in folder.glob("*")}
    domains = sorted(found, key=lambda d: (d is None, d or ""))
    return dict(zip(config_names(domains), (found[d] for d in domains), strict=True))


def _domain(folder: Path) -> str | None:
    files = pl.scan_parquet(folder / "*.parquet", hive_partitioning=False)
    domain: str | None = files.select("domain").head(1).collect().item()
    return domain


def config_names(domains: Iterable[str | None]) -> list[str]:
    """A name for each domain that file systems and the Hub accept; no two alike, whatever the case."""
    taken = {"all", "default"}  # `all` is the configuration of all domains together
    names = []
    for domain in domains:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", domain or "")[:80].strip("-._") or "unlabelled"
        name, n = plain, 2
        while name.lower() in taken:
            name, n = f"{plain}-{n}", n + 1
        taken.add(name.lower())
        names.append(name)
    return names


def pack(source: Path, folder: Path, split: str, schema: pa.Schema) -> list[Path]:
    """Write one configuration's shards, `train-00000-of-00002.parquet`, and return them in order.

    A row group holds at most ROW_GROUP_BYTES and a shard at most SHARD_BYTES, except where one row is larger.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    written: list[Path] = []
    writer, room = None, 0
    for table in _row_groups(_batches(source), schema):
        if writer is None or table.nbytes > room:
            if writer is not None:
                writer.close()
            written.append(folder / f"{len(written):05d}.parquet")
            writer = pq.ParquetWriter(written[-1], schema, compression="zstd", write_page_index=True)
            room = SHARD_BYTES
        writer.write_table(table, row_group_size=max(1, table.num_rows))
        room -= table.nbytes
    if writer is not None:
        writer.close()
    return [
        p.rename(folder / f"{split}-{i:05d}-of-{len(written):05d}.parquet") for i, p in enumerate(written)
    ]


def _batches(source: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for path in sorted(source.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Gather batches into tables of at most ROW_GROUP_BYTES, in order; a batch that is larger is halved."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for batch in batches:
        for piece in _halves(pa.Table.from_batches([batch]).cast(schema)):
            if held and sum(t.nbytes for t in held) + piece.nbytes > ROW_GROUP_BYTES:
                yield pa.concat_tables(held)
                held = []
            held.append(piece)
    if held:
        yield pa.concat_tables(held)


def _halves(table: pa.Table) -> Iterator[pa.Table]:
    if table.num_rows < 2 or table.nbytes <= ROW_GROUP_BYTES:
        yield table
    else:
        half = table.num_rows // 2
        yield from _halves(table.slice(0, half))
        yield from _halves(table.slice(half))


def arrow_schema(columns: Mapping[str, Any]) -> pa.Schema:
    """Explicit types as `datasets` spells them: `string` and `list`, where polars writes their large kin."""
    import pyarrow as pa

    return pa.schema([(name, _arrow(dtype)) for name, dtype in columns.items()])


def _arrow(dtype: Any) -> pa.DataType:
    import pyarrow as pa

    if dtype in (pl.String, pl.Null) or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return pa.string()
    if isinstance(dtype, pl.List):
        return pa.list_(_arrow(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pa.struct([(f.name, _arrow(f.dtype)) for f in dtype.fields])
    if dtype == pl.Binary:
        return pa.binary()
    return pl.Series([], dtype=dtype).to_arrow().type


def check_folder(out: Path, split: str) -> None:
    """Raise InputError where a publication would destroy what is not a published set of this split."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; publish to a folder")
    cards = [p for p in (out / "README.md", out / READY / "README.md") if p.exists()]
    if out.is_dir() and not any(BEGIN in p.read_text(encoding="utf-8") for p in cards):
        foreign = sorted(p.name for p in out.iterdir() if not p.name.startswith(".") and p not in cards)
        if foreign:
            raise InputError(
                f"{out} holds {foreign[0]!r} and is no published set; publish to a new or empty folder"
            )
    for path in sorted(p for p in (out / "data").rglob("*") if p.is_file()):
        if not re.fullmatch(rf"{re.escape(split)}-\d{{5,}}-of-\d{{5,}}\.parquet", path.name):
            raise InputError(
                f"{out} holds {path.relative_to(out)}, which is no shard of the split {split!r} and would be "
                "lost; publish to another folder, or move that file away"
            )


def check_same_run(out: Path, recipe: Mapping[str, Any]) -> None:
    """Raise InputError where a publication would take the place of another run's.

    A run is known by `begun_as`, wherever its folder goes and however it grows. Where one of the two does not
    say it, the same run has the same steps, and read the same data or what has the same name. What a recipe
    does not say at all is not compared.
    """
    found = [p for p in (out / READY / "recipe.json", out / "recipe.json") if p.exists()]
    try:
        published = json.loads(found[0].read_text(encoding="utf-8")) if found else {}
    except ValueError:  # damaged: it is written anew
        return
    if not _is_same_run(published, recipe):
        was, now = _said(published), _said(recipe)
        this = f"; this is {now}" if was != now else ", as this one, but other steps or data"
        raise InputError(
            f"{out} holds what another run published ({was}{this}); publish to another folder, or delete "
            "that one first"
        )


def _is_same_run(published: Any, recipe: Mapping[str, Any]) -> bool:
    match published, recipe:
        case {"begun_as": was, "source": {"source": [*_]}}, {"begun_as": now}:
            return bool(was == now)
        case (
            {"source": {"source": [*was]}, "revision": was_hash, "steps": [*was_steps]},
            {"source": {"source": [*now]}, "revision": now_hash, "steps": [*now_steps]},
        ):
            return _identity(was_steps) == _identity(now_steps) and (was == now or was_hash == now_hash)
    return True


def _identity(steps: list[Any]) -> list[Any]:
    return [s.get("fingerprint", s) if isinstance(s, Mapping) else s for s in steps]


def _said(recipe: Mapping[str, Any]) -> str:
    names = [name if isinstance(name, str) else "a table" for name in recipe["source"]["source"]]
    run = f"run {recipe['run']}, " if "run" in recipe else ""
    return f"{run}read from {' and '.join(names)}"


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """A hidden folder to build in; what is left of it afterwards goes, and a new folder that stayed empty."""
    is_new = not out.exists()
    folder = out / BUILDING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if is_new and not any(out.iterdir()):
            out.rmdir()


def install(folder: Path) -> None:
    """Declare what was built ready, and put it in place."""
    (folder / BUILDING).rename(folder / READY)
    settle(folder)


def settle(folder: Path) -> None:
    """Finish an installation that was killed half-way, and forget a build that never got ready."""
    ready, old = folder / READY, folder / OLD
    if ready.is_dir():
        for part in PARTS:
            if not (ready / part).exists():
                continue  # it is already in place
            if part == "data" and (folder / part).exists():
                shutil.rmtree(old, ignore_errors=True)
                (folder / part).rename(old)
            os.replace(ready / part, folder / part)
        ready.rmdir()
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder / BUILDING, ignore_errors=True)

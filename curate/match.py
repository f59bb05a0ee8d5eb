"""Keys are matched with answers on disk: DuckDB joins, sorts, and spills what does not fit into its memory.

What comes out has one line for each row of the keyed table, in its order, so the two are laid side by side
(`beside`): no join and no plan ever holds the texts, however many rows there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import RunError
from curate.parts import count
from curate.step import Step

PART = "the part it is in"  # a column; where a key has two answers, that of the first part counts
AT_A_TIME = 2_048  # rows that are put in order together
MEMORY = "1GB"  # what DuckDB may hold; the rest of a join or a sort lies in files beside its result


def beside(table: pl.LazyFrame, more: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of two tables with as many rows, in the same order."""
    return pl.concat([table, more], how="horizontal")


def longest_first(step: Step, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows in the order in which they are begun, so that no long one is alone at the end; some at a time."""
    at_a_time = 1 if type(step).rounds is Step.rounds else AT_A_TIME
    while some := list(itertools.islice(rows, at_a_time)):
        yield from sorted(some, key=step.rounds, reverse=True)


def new_rows(keyed: Path, answers: Path, out: Path, *begun: Path) -> pl.LazyFrame:
    """The keyed rows of which nobody has answered the key, one for each key: the first.

    begun: more folders, of rows whose keys are not new either.
    """
    known = " union all ".join(f"({_parts(folder, ['key'])})" for folder in (answers, *begun))
    _copy(
        f"""
        with keys as ({_keys(keyed)}),
        first as (
          select min(row) as row, true as new from keys
          where not exists (from ({known}) k where k.key = keys.key) group by key
        )
        select coalesce(new, false) as new from keys left join first using (row) order by row""",
        out,
    )
    return beside(pl.scan_parquet(keyed), pl.scan_parquet(out)).filter("new").drop("new")


def known_rows(keyed: Path, answers: Path, out: Path) -> pl.LazyFrame:
    """The keyed rows of which somebody has answered the key."""
    _copy(
        f"""
        select exists (from ({_parts(answers, ["key"])}) k where k.key = keys.key) as known
        from ({_keys(keyed)}) keys order by row""",
        out,
    )
    return beside(pl.scan_parquet(keyed), pl.scan_parquet(out)).filter("known").drop("known")


def answered(answers: Path, keys: Sequence[str]) -> list[str]:
    """Those of a few keys that somebody has answered; after a kill the journal may still have their calls."""
    parts = sorted(answers.glob("*.parquet"))
    if not keys or not parts:
        return []
    known = pl.concat([pl.scan_parquet(part).select("key") for part in parts])
    return known.filter(pl.col("key").is_in(keys)).collect(engine="streaming")["key"].to_list()


def match(keyed: Path, answers: Path, failures: Path, out: Path, writes: Mapping[str, Any]) -> pl.LazyFrame:
    """The keyed rows with `writes`, of their key's answer, and `why`, where its call failed; else null."""
    columns = list(writes) if any(answers.glob("*.parquet")) else []
    answered = [f"a.{_name(c)}" for c in columns]
    query = f"""
        select {", ".join([*answered, "f.why"])} from ({_keys(keyed)}) k
        left join ({{0}} from ({_parts(answers, ["key", *columns, PART])}) {{1}}) a using (key)
        left join ({{0}} from ({_parts(failures, ["key", "why", PART])}) {{1}}) f using (key)
        order by row"""
    _copy(query.format("select *", ""), out)
    if count(out) != count(keyed):  # a key with two answers: whoever wrote the second did not know the first
        _copy(query.format("select distinct on (key) *", f"order by {_name(PART)}"), out)
    typed = [pl.col(c).cast(t) if columns else pl.lit(None, t).alias(c) for c, t in writes.items()]
    table = pl.scan_parquet(keyed).drop(list(writes), strict=False)
    return beside(table, pl.scan_parquet(out).select(*typed, pl.col("why").cast(pl.String)))


def _keys(keyed: Path) -> str:
    return f"select key, file_row_number as row from read_parquet({_text(keyed)}, file_row_number = true)"


def _parts(folder: Path, columns: Sequence[str]) -> str:
    """The rows of a folder of parts, or as many columns and no row."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        return f"select {', '.join(f'null::varchar as {_name(c)}' for c in columns)} where false"
    return (
        f"select {', '.join(map(_name, columns))} from read_parquet([{', '.join(_text(p) for p in parts)}],"
        f" filename = '{PART}')"
    )


def _copy(query: str, out: Path) -> None:
    import duckdb

    with duckdb.connect() as db:
        db.execute(f"set memory_limit = '{MEMORY}'")
        db.execute(f"set temp_directory = {_text(out.with_suffix('.spill'))}")
        db.execute("set preserve_insertion_order = false")  # what is sorted stays so; nothing else is asked
        if db.execute("select current_setting('enable_progress_bar')").fetchall()[0][0]:
            db.execute(
                "set enable_progress_bar = false"
            )  # a notebook without ipywidgets refuses it, and has none
        try:
            db.execute(f"copy ({query}) to {_text(out)} (format parquet, compression zstd)")
        except duckdb.IOException as e:
            raise OSError(str(e)) from e  # a full or failing disk is told apart where all of them are
        except duckdb.OutOfMemoryException as e:
            raise RunError(
                f"matching rows with answers needs more than {MEMORY} of memory, for which the disk of "
                f"{out.parent} has no room; free some space and run the command again: every answer is kept"
            ) from e


def _text(value: Path) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'

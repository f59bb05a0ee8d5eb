"""Verbs that only look: at a run, at golds, and at what there is. Results on stdout."""

from __future__ import annotations

import json as json_library
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

import curate
from curate.errors import UserError, near
from curate.recipes import files, first_line
from curate.recipes import verifier as named

if TYPE_CHECKING:
    import polars as pl

WIDTH = 160  # characters of a line of a table
RECORDS = 20  # rows that are shown where each takes a line a value
ROOMS = ("verifiers", "scores", "filters", "rewriters", "methods", "engines")


def look_(
    run: Path,
    *,
    dropped: bool = False,
    provenance: bool = False,
    diff: bool = False,
    tree: bool = False,
    trace: str | None = None,
    k: Annotated[int, Parameter(alias="-k")] = 3,
) -> None:
    """Show a few traces of a run.

    Parameters
    ----------
    run
        the run folder
    dropped
        dropped rows instead, k for each of the ten most frequent reasons
    provenance
        traces with their sentences marked by the model they come from, in colours on a terminal
    diff
        traces that a rewriter made beside their parents: what was cut, what is new, and by whom
    tree
        traces that were searched: what was tried in them, where, at what cost, and what came of it
    trace
        only those whose id, or whose parent's, is this or begins so
    k
        how many; with --dropped as many for each reason, unless with --diff or --tree
    """
    from curate import look
    from curate.run import Run

    if provenance + diff + tree > 1:
        raise UserError("--provenance, --diff and --tree are different pictures; ask for one of them")
    how: dict[str, Any] = {"dropped": dropped, "trace": trace, "k": k}
    how["colour"] = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if diff:
        print(look.diff(Run(run), **how, width=shutil.get_terminal_size((100, 24)).columns))
    elif tree:
        print(look.tree(Run(run), **how))
    else:
        print(look.look(Run(run), **how, provenance=provenance))


def sql_(run: Path, query: str, *, json: bool = False) -> None:
    """Ask a run in SQL; its tables are live, dropped, ledger, funnel and golds.

    Parameters
    ----------
    run
        the run folder
    query
        what DuckDB understands
    json
        rows as JSON instead of a table
    """
    from curate.run import Run

    _table(Run(run).sql(query), json)


def golds_(
    problems: str,
    *,
    verifier: str = "math_equal",
    bad_rows: Literal["error", "set_aside"] = "error",
    json: bool = False,
) -> None:
    """List the gold answers that a verifier does not pass against themselves: no trace can pass with them.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers
    verifier
        its name (`curate list verifiers`)
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or look at the others
    json
        rows as JSON instead of a table
    """
    _table(curate.read(problems, bad_rows=bad_rows).golds(named(verifier)), json)


def list_(room: str | None = None, *, json: bool = False) -> None:
    """List what there is, a line each: every file of a room.

    Parameters
    ----------
    room
        verifiers, scores, filters, rewriters, methods or engines; all of them if not given
    json
        as JSON
    """
    if room is not None and room not in ROOMS:
        raise UserError(f"there is no room {room!r}; {near(room, ROOMS)}")
    found = {name: _lines(name) for name in ([room] if room else ROOMS)}
    if json:
        print(json_library.dumps(found))
        return
    for name, lines in found.items():
        print(name)
        for thing, line in lines.items():
            print(f"  {thing:24s} {line}")


def sizing(table: pl.DataFrame) -> str:
    """A plan's sizing table as text."""
    import polars as pl

    bare = pl.Config(tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True)
    with bare, pl.Config(float_precision=1, thousands_separator=",", tbl_width_chars=WIDTH):
        return str(table)


def _table(table: pl.DataFrame, json: bool) -> None:
    """One line a row; where the names of its columns do not fit beside each other, one line a value."""
    import polars as pl

    if json:
        print(table.write_json())
    elif table.width > 20 or sum(len(name) + 3 for name in table.columns) > WIDTH:
        print(_records(table))
    else:
        with pl.Config(tbl_rows=100, tbl_cols=20, fmt_str_lengths=80, tbl_width_chars=WIDTH):
            print(table)


def _records(table: pl.DataFrame) -> str:
    """The first rows, one line a value, cut to the width."""
    longest = max(map(len, table.columns))
    lines = [f"{table.height:,} rows of {table.width} columns"]
    for i, row in enumerate(table.head(RECORDS).iter_rows(named=True), 1):
        lines.append(f"─ row {i:,} ".ljust(WIDTH, "─"))
        for name, value in row.items():
            said, room = " ".join(("null" if value is None else str(value)).split()), WIDTH - longest - 2
            lines.append(f"{name:{longest}s}  {said if len(said) <= room else said[: room - 1] + '…'}")
    if table.height > RECORDS:
        lines.append(f"… and {table.height - RECORDS:,} rows more; for all of them: fewer columns, or --json")
    return "\n".join(lines)


def _lines(room: str) -> dict[str, str]:
    if room == "engines":
        from curate.engines import KINDS

        return dict(KINDS)
    return {name: first_line(path) for name, path in files(room).items()}

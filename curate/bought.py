"""What a run folder has paid for, read without opening it for work: also after a kill, or during a run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from curate.journal import LEDGER


def ledger(out: Path) -> pl.DataFrame:
    """The folder's ledger: of the journal while that holds calls of unfinished rows, else its table."""
    if rows := _asked(out, "select 1 from calls limit 1"):
        rows = _asked(out, f"select {', '.join(LEDGER)} from ledger order by step, fingerprint, engine")
    if rows:
        return pl.DataFrame(rows, schema=LEDGER, orient="row")
    path, empty = out / "ledger.parquet", pl.DataFrame(schema=LEDGER)
    return pl.concat([empty, pl.read_parquet(path)], how="diagonal") if path.exists() else empty


def unfinished(out: Path, step: str) -> dict[str, int]:
    """key of a row → the tokens of its calls to this step that are kept until its answer is in a part."""
    found: dict[str, int] = {}
    rows = _asked(out, "select key, row, reply from calls where step = ? order by id", step)
    for row, reply in {key: (row, reply) for key, row, reply in rows}.values():
        if kept := json.loads(reply):  # else nothing of it could be kept
            found[row] = found.get(row, 0) + _tokens(kept)
    return found


def _tokens(reply: Any) -> int:
    """What a journalled reply cost, as the ledger counts it."""
    if isinstance(reply, dict):  # scores
        return int(reply.get("prompt_tokens", 0)) + len(reply["ids"])
    came = [completion for completion in reply if completion]
    return int(came[0]["prompt_tokens"] + sum(completion["output_tokens"] for completion in came))


def _asked(out: Path, query: str, *values: str) -> list[Any]:
    """What the journal answers; nothing where there is none that can be read. Nothing there is changed."""
    path = out / "journal.sqlite"
    if not path.exists():
        return []
    # without a log nobody is at work, and a reader that is told so makes no files of its own
    how = "mode=ro" if path.with_name("journal.sqlite-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True)) as db:
            return db.execute(query, values).fetchall()
    except sqlite3.DatabaseError:  # damaged, or of an earlier version: a run says it and sets it right
        return []

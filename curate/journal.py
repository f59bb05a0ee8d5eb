"""Every completed model call is on disk before anybody uses its answer, until its row's answer is in a part.

One sqlite file a run (WAL, group commit: all calls that finished while the last commit was under way go into
the next). After `kill -9` a long `ask` starts again and finds its earlier calls here. The ledger lives in the
same file: a call and its cost are one transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.budget import Price

_TABLES = """
create table if not exists calls (key text primary key, step text, row text, reply text) without rowid;
create index if not exists calls_by_step on calls (step, row);
create table if not exists ledger (
  step text, fingerprint text, engine text, rows_cached int, rows_paid int, calls int, failed int,
  prompt_tokens int, output_tokens int, seconds real, usd real,
  primary key (step, fingerprint, engine)) without rowid;
create table if not exists prices (engine text primary key, usd_in real, usd_out real) without rowid;
"""
LEDGER: dict[str, Any] = {
    "step": pl.String,
    "fingerprint": pl.String,
    "engine": pl.String,
    "rows_cached": pl.Int64,  # rows of the last run that were answered from memory
    "rows_paid": pl.Int64,  # rows worked out, over all runs on this folder
    "calls": pl.Int64,
    "failed": pl.Int64,
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "seconds": pl.Float64,  # wall clock behind this door, from when its engines were ready
    "usd": pl.Float64,  # null where nobody has said a price
}
_ADDED = ("rows_paid", "calls", "failed", "prompt_tokens", "output_tokens", "seconds")


class Call(NamedTuple):
    """One completed call, and what it cost."""

    key: str
    step: str
    row: str
    reply: str
    fingerprint: str  # of the step
    engine: str
    prompt_tokens: int
    output_tokens: int
    usd: float | None = None


class Journal:
    """The calls and the ledger of one run folder. All of sqlite happens in one thread of its own."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._pending: list[tuple[Call, asyncio.Future[None]]] = []
        self._committer: asyncio.Task[None] | None = None
        self._db: sqlite3.Connection = self._thread.submit(self._open, path).result()

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.executescript(_TABLES)
        if "usd" not in [column[1] for column in db.execute("pragma table_info(ledger)")]:
            db.execute("alter table ledger add column usd real")  # a folder that was begun before 0.3
        return db

    def close(self) -> None:
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def replies(self, step: str) -> dict[str, str]:
        """The journalled calls of one step: few, because a finished row's calls are forgotten."""
        query = "select key, reply from calls where step = ?"
        return dict(self._thread.submit(lambda: self._db.execute(query, (step,)).fetchall()).result())

    async def keep(self, call: Call) -> None:
        """Returns once the call and what it cost are committed. Until then it counts as in flight."""
        done = asyncio.get_running_loop().create_future()
        self._pending.append((call, done))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_pending())  # its own: no row's end may end it
        await done

    async def _commit_pending(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            batch, self._pending = self._pending, []
            error: sqlite3.Error | None = None
            try:
                await loop.run_in_executor(self._thread, self._insert, [call for call, _ in batch])
            except sqlite3.Error as e:
                error = e
            for _, done in batch:
                if not done.done():
                    done.set_exception(error) if error else done.set_result(None)

    def _insert(self, calls: Sequence[Call]) -> None:
        with self._db:
            rows = [(c.key, c.step, c.row, c.reply) for c in calls]
            self._db.executemany("insert or replace into calls values (?, ?, ?, ?)", rows)
            for c in calls:
                spent = {"calls": 1, "prompt_tokens": c.prompt_tokens, "output_tokens": c.output_tokens}
                self._db.execute(*_ledger_line(c.step, c.fingerprint, c.engine, None, spent, c.usd))

    def forget(self, step: str, rows: Iterable[str]) -> None:
        """Drop the calls of rows whose answer is now in a part."""
        pairs = [(step, row) for row in rows]
        self._thread.submit(self._execute, "delete from calls where step = ? and row = ?", pairs).result()

    def _execute(self, query: str, values: list[tuple[Any, ...]]) -> None:
        with self._db:
            self._db.executemany(query, values)

    def spend(self, step: str, fingerprint: str, engine: str, cached: int, **spent: float) -> None:
        """Add to one line of the ledger what is not a call; `cached` replaces what the last run said."""
        query, values = _ledger_line(step, fingerprint, engine, cached, spent)
        self._thread.submit(self._execute, query, [values]).result()

    def prices(self, said: Mapping[str, Price]) -> dict[str, Price]:
        """Every price ever said, the last one of each engine. Calls made before the first have it."""
        return self._thread.submit(self._prices, said).result()

    def _prices(self, said: Mapping[str, Price]) -> dict[str, Price]:
        with self._db:
            for engine, (usd_in, usd_out) in said.items():
                self._db.execute("insert or replace into prices values (?, ?, ?)", (engine, usd_in, usd_out))
                self._db.execute(
                    "update ledger set usd = (prompt_tokens * ? + output_tokens * ?) / 1e6"
                    " where engine = ? and usd is null and calls > 0",
                    (usd_in, usd_out, engine),
                )
        found = self._db.execute("select engine, usd_in, usd_out from prices").fetchall()
        return {engine: (usd_in, usd_out) for engine, usd_in, usd_out in found}

    def ledger(self) -> pl.DataFrame:
        """All lines of the ledger, by step."""
        query = "select " + ", ".join(LEDGER) + " from ledger order by step, fingerprint, engine"
        rows = self._thread.submit(lambda: self._db.execute(query).fetchall()).result()
        return pl.DataFrame(rows, schema=LEDGER, orient="row")


def _ledger_line(
    step: str,
    fingerprint: str,
    engine: str,
    cached: int | None,
    spent: Mapping[str, float],
    usd: float | None = None,
) -> tuple[str, tuple[Any, ...]]:
    """The query that adds `spent` to one line of the ledger, and sets rows_cached where it is given."""
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    query = (
        "insert into ledger (step, fingerprint, engine, rows_cached, usd, " + ", ".join(_ADDED) + ")"
        f" values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set {sums},"
        " usd = case when excluded.usd is null then usd else coalesce(usd, 0) + excluded.usd end"
        + ("" if cached is None else ", rows_cached = excluded.rows_cached")
    )
    return query, (step, fingerprint, engine, cached or 0, usd, *(spent.get(name, 0) for name in _ADDED))

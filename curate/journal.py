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
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.budget import Price

_TABLES = """
create table if not exists calls (id integer primary key, step text, key text, row text, reply text);
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
    "rows_cached": pl.Int64,  # rows of the last run that were answered from memory, or alike
    "rows_paid": pl.Int64,  # rows worked out, over all runs on this folder
    "calls": pl.Int64,
    "failed": pl.Int64,
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "seconds": pl.Float64,  # wall clock, engines ready to last answer; where steps overlap, for both
    "usd": pl.Float64,  # null where nobody has said a price
}
AT_ONCE = 1_000  # calls that one statement inserts, well under sqlite's bound on parameters
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
        self._ids: dict[tuple[str, str], list[int]] = {}  # (step, row) → its calls that are not forgotten
        self._db: sqlite3.Connection = self._thread.submit(self._open, path).result()
        self._last: int = self._thread.submit(self._newest).result()

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")  # a power cut loses no more than a kill does
        if "calls" in _tables(db) and "id" not in _columns(db, "calls"):
            db.execute("alter table calls rename to calls_by_key")  # a folder that was begun before 0.4
        db.executescript(_TABLES)
        if "calls_by_key" in _tables(db):
            with db:
                columns = "step, key, row, reply"
                db.execute(f"insert into calls ({columns}) select {columns} from calls_by_key")
                db.execute("drop table calls_by_key")
        if "usd" not in _columns(db, "ledger"):
            db.execute("alter table ledger add column usd real")  # a folder that was begun before 0.3
        return db

    def close(self) -> None:
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def _newest(self) -> int:
        [(last,)] = self._db.execute("select coalesce(max(id), 0) from calls")
        return int(last)

    def replies(self, step: str) -> dict[str, str]:
        """The journalled calls of one step: few, because a finished row's calls are forgotten."""
        query = "select id, row, key, reply from calls where step = ? order by id"
        found = self._thread.submit(lambda: self._db.execute(query, (step,)).fetchall()).result()
        for number, row, _, _ in found:
            self._ids.setdefault((step, row), []).append(number)
        return {key: reply for _, _, key, reply in found}

    def rows(self, step: str) -> list[str]:
        """The rows of one step that have calls here."""
        query = "select distinct row from calls where step = ?"
        found = self._thread.submit(lambda: self._db.execute(query, (step,)).fetchall()).result()
        return [row for (row,) in found]

    async def keep(self, call: Call) -> None:
        """Returns once the call and what it cost are committed. Until then it counts as in flight."""
        done = asyncio.get_running_loop().create_future()
        self._pending.append((call, done))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_pending())  # its own: no row's end may end it
        await done

    async def settled(self) -> None:
        """Returns once every completed call is committed, also those whose row has been given up."""
        if self._committer is not None and not self._committer.done():  # else perhaps of a closed loop
            await asyncio.wait([self._committer])

    async def _commit_pending(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            batch, self._pending = self._pending, []
            insert = loop.run_in_executor(self._thread, self._insert, [call for call, _ in batch])
            [error] = await asyncio.gather(insert, return_exceptions=True)  # whatever it is, nobody waits on
            for _, done in batch:
                if not done.done():
                    done.set_exception(error) if error else done.set_result(None)

    def _insert(self, calls: Sequence[Call]) -> None:
        """In few statements: after each, this thread waits until a busy event loop lets it go on."""
        numbers = range(self._last + 1, self._last + 1 + len(calls))
        rows = [(i, c.step, c.key, c.row, c.reply) for i, c in zip(numbers, calls, strict=True)]
        with self._db:
            for i in range(0, len(rows), AT_ONCE):
                some = rows[i : i + AT_ONCE]
                places = ", ".join(["(?, ?, ?, ?, ?)"] * len(some))
                self._db.execute(f"insert into calls values {places}", list(chain.from_iterable(some)))
            for line, spent in _spent(calls).items():
                self._db.execute(*_ledger_line(*line, None, spent))
        self._last = numbers[-1]
        for number, c in zip(numbers, calls, strict=True):
            self._ids.setdefault((c.step, c.row), []).append(number)

    def forget(self, step: str, rows: Iterable[str]) -> None:
        """Drop the calls of rows whose answer is now in a part."""
        self._thread.submit(self._forget, step, rows).result()

    def _forget(self, step: str, rows: Iterable[str]) -> None:
        ids = sorted(i for row in rows for i in self._ids.pop((step, row), ()))
        runs: list[list[int]] = []  # of consecutive numbers: what was inserted together goes together
        for number in ids:
            if runs and runs[-1][1] == number - 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        self._execute("delete from calls where id between ? and ?", runs)

    def _execute(self, query: str, values: Sequence[Sequence[Any]]) -> None:
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

    def restore(self, ledger: pl.DataFrame) -> None:
        """Put the lines of a ledger into this new one."""
        for line in ledger.select(list(LEDGER)).rows(named=True):
            names = (line.pop("step"), line.pop("fingerprint"), line.pop("engine"), line.pop("rows_cached"))
            query, values = _ledger_line(*names, line)
            self._thread.submit(self._execute, query, [values]).result()

    def ledger(self) -> pl.DataFrame:
        """All lines of the ledger, by step."""
        query = "select " + ", ".join(LEDGER) + " from ledger order by step, fingerprint, engine"
        rows = self._thread.submit(lambda: self._db.execute(query).fetchall()).result()
        return pl.DataFrame(rows, schema=LEDGER, orient="row")


def _tables(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [column[1] for column in db.execute(f"pragma table_info({table})")]


def _spent(calls: Sequence[Call]) -> dict[tuple[str, str, str], dict[str, float]]:
    """What the calls add to each line of the ledger; `usd` is there where a price is known."""
    by_line: dict[tuple[str, str, str], list[Call]] = {}
    for c in calls:
        by_line.setdefault((c.step, c.fingerprint, c.engine), []).append(c)
    lines: dict[tuple[str, str, str], dict[str, float]] = {}
    for line, some in by_line.items():
        tokens = {name: sum([getattr(c, name) for c in some]) for name in ("prompt_tokens", "output_tokens")}
        usd = [c.usd for c in some if c.usd is not None]
        lines[line] = {"calls": len(some), **tokens, **({"usd": sum(usd)} if usd else {})}
    return lines


def damage(path: Path) -> str:
    """What is wrong with the file of a journal; empty where nothing is, or there is no file."""
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path)) as db:
            found = str(db.execute("pragma quick_check(1)").fetchone()[0])
            return "" if found == "ok" else found
    except sqlite3.OperationalError:
        raise  # locked, unreadable or on a full disk: that is not damage
    except sqlite3.DatabaseError as e:
        return str(e)


def _ledger_line(
    step: str, fingerprint: str, engine: str, cached: int | None, spent: Mapping[str, float]
) -> tuple[str, tuple[Any, ...]]:
    """The query that adds `spent` to one line of the ledger, and sets rows_cached where it is given."""
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    query = (
        "insert into ledger (step, fingerprint, engine, rows_cached, usd, " + ", ".join(_ADDED) + ")"
        f" values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set {sums},"
        " usd = case when excluded.usd is null then usd else coalesce(usd, 0) + excluded.usd end"
        + ("" if cached is None else ", rows_cached = excluded.rows_cached")
    )
    added = (spent.get(name, 0) for name in _ADDED)
    return query, (step, fingerprint, engine, cached or 0, spent.get("usd"), *added)

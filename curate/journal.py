"""Every completed model call is on disk before anybody uses its answer, until its row's answer is in a part.

One sqlite file a run (WAL, group commit: all calls that finished while the last commit was under way go into
the next). After `kill -9` a long `ask` starts again and finds its earlier calls here. The ledger lives in the
same file: a call and its cost are one transaction.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.errors import CallFailed
from curate.schema import content_hash
from curate.step import Completion, Engine, Message, TokenScores, model_name

_TABLES = """
create table if not exists calls (key text primary key, step text, row text, reply text) without rowid;
create index if not exists calls_by_step on calls (step, row);
create table if not exists ledger (
  step text, fingerprint text, engine text, rows_cached int, rows_paid int, calls int, failed int,
  prompt_tokens int, output_tokens int, seconds real, primary key (step, fingerprint, engine)) without rowid;
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
    "seconds": pl.Float64,  # wall clock behind this door
}
_ADDED = ("rows_paid", "calls", "failed", "prompt_tokens", "output_tokens", "seconds")

_row: contextvars.ContextVar[tuple[str, Counter[str]]] = contextvars.ContextVar("row")


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
                self._db.execute(*_ledger_line(c.step, c.fingerprint, c.engine, None, spent))

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

    def ledger(self) -> pl.DataFrame:
        """All lines of the ledger, by step."""
        query = "select " + ", ".join(LEDGER) + " from ledger order by step, fingerprint, engine"
        rows = self._thread.submit(lambda: self._db.execute(query).fetchall()).result()
        return pl.DataFrame(rows, schema=LEDGER, orient="row")


def _ledger_line(
    step: str, fingerprint: str, engine: str, cached: int | None, spent: Mapping[str, float]
) -> tuple[str, tuple[Any, ...]]:
    """The query that adds `spent` to one line of the ledger, and sets rows_cached where it is given."""
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    query = (
        "insert into ledger (step, fingerprint, engine, rows_cached, " + ", ".join(_ADDED) + ")"
        f" values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set {sums}"
        + ("" if cached is None else ", rows_cached = excluded.rows_cached")
    )
    return query, (step, fingerprint, engine, cached or 0, *(spent.get(name, 0) for name in _ADDED))


@dataclass(frozen=True)
class Journalled:
    """An engine that never buys the same call of a row twice; it stands in for one while its door is open."""

    engine: Engine
    journal: Journal
    step: str
    fingerprint_of_step: str
    known: dict[str, str]
    told: Callable[[int], None]  # of the output tokens of every call that was paid

    @property
    def model(self) -> str:
        return self.engine.model

    @property
    def fingerprint(self) -> str:
        return self.engine.fingerprint

    def describe(self) -> dict[str, Any]:
        return self.engine.describe()

    async def chat(
        self, messages: Sequence[Message], *, seed: int | None = None, **options: Any
    ) -> list[Completion]:
        """The engine's chat. A seed that is not given comes from the row and the call."""
        key = self._key("chat", messages, seed, options)
        if key not in self.known:
            chosen = int(key[:12], 16) if seed is None else seed
            replies = await self.engine.chat(messages, seed=chosen, **options)
            if not all(_is_text(r.text) and _is_text(r.response) for r in replies):
                raise CallFailed("the model's answer holds half of a surrogate pair; no file can hold that")
            tokens = replies[0].prompt_tokens, sum(r.output_tokens for r in replies)
            await self._keep(key, [asdict(r) for r in replies], *tokens)
        found = json.loads(self.known.pop(key))
        return [Completion(**{**r, "logprobs": _tuple(r["logprobs"])}) for r in found]

    async def score(self, messages: Sequence[Message], text: str, **options: Any) -> TokenScores:
        """The engine's score, bought once."""
        key = self._key("score", messages, text, options)
        if key not in self.known:
            scores = await self.engine.score(messages, text, **options)  # type: ignore[attr-defined]
            await self._keep(key, asdict(scores), len(scores.ids), 0)
        return TokenScores(**{k: _tuple(v) for k, v in json.loads(self.known.pop(key)).items()})

    def _key(self, *call: Any) -> str:
        row, seen = _row.get()
        asked = content_hash(self.engine.fingerprint, *call)
        seen[asked] += 1  # the same call again within one row is another call
        return content_hash(row, asked, seen[asked])

    async def _keep(self, key: str, reply: Any, prompt_tokens: int, output_tokens: int) -> None:
        self.known[key] = json.dumps(reply, ensure_ascii=False)
        self.told(output_tokens)
        row, engine = _row.get()[0], model_name(self.engine)
        await self.journal.keep(
            Call(
                key,
                self.step,
                row,
                self.known[key],
                self.fingerprint_of_step,
                engine,
                prompt_tokens,
                output_tokens,
            )
        )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def begin_row(key: str) -> None:
    """Calls made from here on, in this asyncio task, belong to the row with this key."""
    _row.set((key, Counter()))


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value

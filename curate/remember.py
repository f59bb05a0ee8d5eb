"""The one place that spends: what a step has answered before is joined, and only the rest is worked out.

key = hash(step fingerprint, the columns it reads) · todo = keys anti-joined with the known answers ·
answers/<step>-<fingerprint>/*.parquet holds them as append-only parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_tb
from typing import Any

import polars as pl

from curate.budget import Budget
from curate.cluster import Cluster
from curate.doors import Doors
from curate.errors import BudgetSpent, CallFailed, CurateError, Interrupted, RunError, UserError, place
from curate.host import Done
from curate.identity import engines, model_name, with_engines
from curate.journal import Journal
from curate.journalled import Journalled, begin_row
from curate.line import Line
from curate.match import answered, longest_first, match, new_rows
from curate.pair import judge_with
from curate.parts import add_part, count, disk_trouble, iter_rows, set_aside_damaged, sink
from curate.pool import Abstained, Pool, settled
from curate.progress import Meter
from curate.record import check_served, check_source
from curate.schema import content_hash
from curate.step import Engine, Step

PART_ROWS, PART_SECONDS = 2_000, 10.0
FAILED: dict[str, Any] = {"key": pl.String, "why": pl.String}
GO_ON = "run the same command again to go on: nothing that was answered is asked again"


def with_key(step: Step, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add `key`: the hash of the step's fingerprint and what it depends on, the same on every machine."""
    fingerprint = step.fingerprint

    def hashes(rows: pl.Series) -> pl.Series:
        values = (content_hash(fingerprint, *step.depends_on(row)) for row in rows.to_list())
        return pl.Series("key", list(values), dtype=pl.String)

    read = pl.struct(step.columns)
    return frame.with_columns(key=read.map_batches(hashes, return_dtype=pl.String, is_elementwise=True))


@dataclass
class Memory:
    """The answers of one run folder, and the hands that add to them."""

    folder: Path
    scratch: Path  # files of this run alone
    journal: Journal
    pool: Callable[[], Pool | Cluster]  # started when the first row step has work
    judges: Callable[[], Pool]  # of this machine, for verifiers that a step which asks calls
    budget: Budget = field(default_factory=Budget)
    doors: Doors = field(default_factory=Doors)

    def answers(self, step: Step) -> Path:
        """Where the answers of this step, with these fields, are kept."""
        return self.folder / "answers" / f"{step.name}-{step.fingerprint}"

    def todo(self, step: Step, keyed: Path) -> Path:
        """One row for every key that nobody has answered: its `key`, and the columns the step reads."""
        set_aside_damaged(self.answers(step))
        path = self.scratch / "todo.parquet"
        new = new_rows(keyed, self.answers(step), self.scratch / "new.parquet")
        sink(new.select("key", *step.columns), path).collect()
        return path

    def remember(self, step: Step, keyed: Path) -> pl.LazyFrame:
        """Answer every row of `keyed` (a table with `key`), from memory where it can be.

        The rows come back with the step's `writes`, and with `why` where a call failed.
        """
        todo = self.todo(step, keyed)
        new, rows = count(todo), count(keyed)
        check_source(step, self.answers(step), new > 0)
        writer = Writer(self, step, new, cached=rows - new)
        try:
            if new and step.body == "row":
                self._work(step, todo, writer)
            elif new:
                self.doors.run(_ask_all(self, step, todo, writer), self.budget.close)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped in {step.name}; {GO_ON}") from None
        except BudgetSpent as e:
            raise BudgetSpent(f"stopped in {step.name}: {e}") from None
        finally:
            writer.close()
        all_failed = step.body == "ask" and writer.failures_in_all == new > 0
        if all_failed and not any(writer.folder.glob("*.parquet")):
            raise UserError(f"every call of {step.name} failed; the first said: {writer.first_failure}")
        path = self.scratch / f"{time.monotonic_ns()}.answers.parquet"
        return match(keyed, writer.folder, writer.failures, path, step.writes)

    def _work(self, step: Step, todo: Path, writer: Writer) -> None:
        pool = self.pool()
        if isinstance(pool, Cluster):
            for done in pool.answer(step, todo, writer.folder, writer.failures, PART_ROWS, PART_SECONDS):
                writer.wrote(done)
            return
        keys: dict[int, str] = {}

        def rows() -> Iterator[dict[str, Any]]:
            for i, row in enumerate(iter_rows(todo)):
                keys[i] = row.pop("key")
                yield row

        for i, value in pool.map(step, rows()):
            key, value = keys.pop(i), settled(step, value)
            if isinstance(value, Abstained):
                writer.fail(key, value.why)
            else:
                writer.answer(key, value)


class Writer:
    """Collects the answers of one door and appends them as parts; keeps ledger and progress bar in step."""

    def __init__(self, memory: Memory, step: Step, new: int, cached: int) -> None:
        self.step, self.journal, self.cached = step, memory.journal, cached
        self.folder = memory.answers(step)
        self.failures = memory.scratch / "failed" / f"{step.name}-{time.monotonic_ns()}"
        self.schema = {"key": pl.String, **step.writes}
        self.engine = ", ".join(model_name(e) for e in engines(step).values())
        self.meter = Meter(step.name, new, cached)
        self.rows: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.failures_in_all, self.first_failure = 0, ""
        self.written_at = time.monotonic()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self.part: Future[None] | None = None

    def answer(self, key: str, value: Any) -> None:
        self.rows.append({"key": key, **self.step.pack(value)})
        self._one_more()

    def fail(self, key: str, why: str) -> None:
        self.failures_in_all += 1
        self.first_failure = self.first_failure or why.removeprefix("call failed: ")
        self.failed.append({"key": key, "why": why})
        self._one_more()

    def _one_more(self) -> None:
        self.meter.rows()
        waiting = len(self.rows) + len(self.failed)
        if waiting >= PART_ROWS or time.monotonic() - self.written_at > PART_SECONDS:
            self.flush()

    def flush(self) -> Future[None]:
        """Everything so far into parts, in a thread of its own: the calls in flight wait for no disk."""
        if self.part is not None:
            self.part.result()  # one part at a time, so a slow disk slows the work down
        now = time.monotonic()
        spent = {"rows_paid": len(self.rows), "failed": len(self.failed), "seconds": now - self.written_at}
        self.part = self.thread.submit(self._write, self.rows, self.failed, spent)
        self.rows, self.failed, self.written_at = [], [], now
        return self.part

    def _write(
        self, rows: list[dict[str, Any]], failed: list[dict[str, Any]], spent: dict[str, float]
    ) -> None:
        """First the parts; then, and only then, the journal may forget the calls of their rows."""
        if rows:
            add_part(self.folder, rows, self.schema)
            if self.engine:
                self.journal.forget(self.step.name, [row["key"] for row in rows])
        if failed:
            add_part(self.failures, failed, FAILED)
        self.journal.spend(self.step.name, self.step.fingerprint, self.engine, self.cached, **spent)

    def wrote(self, done: Done) -> None:
        """Count what a machine of a cluster has put into parts by itself."""
        self.failures_in_all += done.failed
        self.meter.rows(done.answered + done.failed)
        now = time.monotonic()
        spent = {"rows_paid": done.answered, "failed": done.failed, "seconds": now - self.written_at}
        self.journal.spend(self.step.name, self.step.fingerprint, self.engine, self.cached, **spent)
        self.written_at = now

    def close(self) -> None:
        self.meter.close()
        with self.thread:
            self.flush().result()


def width(step: Step) -> int:
    """How many rows of a step that asks are with its engines at a time: as many as the widest takes."""
    return max(map(_concurrency, engines(step).values()), default=256)


def _concurrency(engine: Engine) -> int:
    return int(getattr(engine, "concurrency", 256))


async def _ask_all(memory: Memory, step: Step, todo: Path, writer: Writer) -> None:
    """Ask for every row, as many at once as the engines take; an error that is not one row's stops it all."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(writer.journal.settled)
        known, budget, opened = writer.journal.replies(step.name), memory.budget, {}
        writer.journal.forget(step.name, answered(writer.folder, writer.journal.rows(step.name)))
        for name, inner in (await stack.enter_async_context(memory.doors.of(step))).items():
            check_served(memory.folder, inner)
            of_step = model_name(inner), step.name, step.fingerprint, known, budget, Line(_concurrency(inner))
            opened[name] = Journalled(inner, writer.journal, *of_step, writer.meter.tokens)
        asked = with_engines(step, opened)
        judge_with(memory.judges())
        budget.open_door()
        writer.written_at = time.monotonic()  # a model that is being loaded says nothing of its speed
        rows = enumerate(longest_first(step, iter_rows(todo)))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(2 * width(step), writer.meter.total)):  # half may be on its way to the disk
                group.create_task(_ask_some(asked, rows, writer))
    if budget.stopped:
        raise BudgetSpent(budget.sentence())


async def _ask_some(step: Any, rows: Iterator[tuple[int, dict[str, Any]]], writer: Writer) -> None:
    for turn, row in rows:
        key = row.pop("key")
        begin_row(key, turn)
        try:
            writer.answer(key, await step.ask(row))
        except CallFailed as e:
            writer.fail(key, f"call failed: {e}")
        except BudgetSpent:
            return  # the rows whose calls are made get to their end
        except CurateError:
            raise
        except Exception as e:  # noqa: BLE001 - a bug in a step: named, with its row, and the run stops
            if disk_trouble(e, writer.folder):
                raise
            where = place("".join(format_tb(e.__traceback__)))
            raise RunError(
                f"{step.name} failed on the row with {_shown(row)}: {type(e).__name__}: {e}{where}"
            ) from e


def _shown(row: dict[str, Any]) -> str:
    return ", ".join(f"{k}={str(v)[:60]!r}" for k, v in row.items())

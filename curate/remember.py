"""The one place that spends: what a step has answered before is joined, and only the rest is worked out.

key = hash(step fingerprint, the columns it reads) · todo = keys anti-joined with the known answers ·
answers/<step>-<fingerprint>/*.parquet holds them as append-only parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
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
from curate.identity import engines, model_name, with_engines
from curate.journal import Journal
from curate.journalled import Journalled, row_of
from curate.line import Line
from curate.match import answered, longest_first, match, new_rows
from curate.pair import judge_with
from curate.parts import count, disk_trouble, iter_rows, leave_out_damaged, set_aside_damaged, sink
from curate.pool import Abstained, Pool, settled
from curate.record import check_served, check_source
from curate.schema import content_hash
from curate.step import Engine, Step
from curate.writer import PART_ROWS, PART_SECONDS, Writer

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
    looks: bool = False  # a plan: nothing in the folder is changed

    def answers(self, step: Step) -> Path:
        """Where the answers of this step, with these fields, are kept; to a plan, those that are sound."""
        kept = Path("answers") / f"{step.name}-{step.fingerprint}"
        sound = self.scratch / kept
        return sound if self.looks and sound.exists() else self.folder / kept

    def todo(self, step: Step, keyed: Path) -> Path:
        """One row for every key that nobody has answered: its `key`, and the columns the step reads."""
        answers = self.answers(step)
        if self.looks:
            leave_out_damaged(answers, self.scratch / "answers" / answers.name)
        else:
            set_aside_damaged(answers)
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
        failures = self.scratch / "failed" / f"{step.name}-{time.monotonic_ns()}"
        writer = Writer(step, self.journal, self.answers(step), failures, new, cached=rows - new)
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
        if writer.rows_in_all != new:
            left = f"{new - writer.rows_in_all} of {new} rows"
            raise RunError(f"{step.name} neither answered nor set aside {left}; that is a fault of curate's")
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
        lines = writer.journal.ledger().filter(step=step.name, fingerprint=step.fingerprint)
        calls, *tokens, usd = lines.select("calls", "prompt_tokens", "output_tokens", "usd").sum().row(0)
        budget.open_door(calls, sum(tokens), usd)
        rows = enumerate(longest_first(step, iter_rows(todo)))
        with writer.at_work():
            async with asyncio.TaskGroup() as group:
                for _ in range(min(2 * width(step), writer.meter.total)):  # half may go to the disk
                    group.create_task(_ask_some(asked, rows, writer))
    if budget.stopped:
        raise BudgetSpent(budget.sentence())


async def _ask_some(step: Any, rows: Iterator[tuple[int, dict[str, Any]]], writer: Writer) -> None:
    for turn, row in rows:
        key = row.pop("key")
        try:
            async with row_of(key, turn):
                value = await step.ask(row)
            writer.answer(key, value)
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

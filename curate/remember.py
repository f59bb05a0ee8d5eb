"""The one place that spends: what a step has answered before is joined, and only the rest is worked out.

key = hash(step fingerprint, the columns it reads) · todo = keys anti-joined with the known answers ·
answers/<step>-<fingerprint>/*.parquet holds them as append-only parts.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.asking import ask_all
from curate.budget import Budget
from curate.cluster import Cluster
from curate.doors import Doors
from curate.errors import BudgetSpent, Interrupted, RunError, UserError
from curate.journal import Journal
from curate.match import match, new_rows
from curate.parts import count, iter_rows, leave_out_damaged, set_aside_damaged, sink
from curate.pool import Abstained, Pool, settled
from curate.record import check_source
from curate.schema import content_hash
from curate.step import Step
from curate.writer import PART_ROWS, PART_SECONDS, Writer

if TYPE_CHECKING:
    from curate.ahead import Way

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
    early: Counter[str] = field(default_factory=Counter)  # by folder: rows answered ahead of their step
    over: threading.Event | None = None  # of rows that go ahead: set where nobody waits for them any more

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

    def remember(self, step: Step, keyed: Path, way: Way) -> pl.LazyFrame:
        """Answer every row of `keyed` (a table with `key`), from memory where it can be.

        The rows come back with the step's `writes`, and with `why` where a call failed. way: the steps
        behind one that asks, for rows that go ahead while others are still with its engine.
        """
        todo = self.todo(step, keyed)
        new, rows = count(todo), count(keyed)
        failures = self.scratch / "failed" / f"{step.name}-{time.monotonic_ns()}"
        cached = self._known_before(step, rows - new)
        if self.over is None:
            check_source(step, self.answers(step), cached < rows)
        writer = Writer(step, self.journal, self.answers(step), failures, new, cached)
        try:
            if new and step.body == "row":
                self._work(step, todo, writer)
            elif new:
                self.doors.run(ask_all(self, step, todo, writer, way), self.budget.close)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped in {step.name}; {GO_ON}") from None
        except BudgetSpent as e:
            raise BudgetSpent(f"stopped in {step.name}: {e}") from None
        finally:
            writer.close()
        if self.over is not None:
            self.early[writer.folder.name] += writer.rows_in_all - writer.failures_in_all
        if writer.rows_in_all != new:
            left = f"{new - writer.rows_in_all} of {new} rows"
            raise RunError(f"{step.name} neither answered nor set aside {left}; that is a fault of curate's")
        all_failed = step.body == "ask" and writer.failures_in_all == new > 0
        if all_failed and not any(writer.folder.glob("*.parquet")):
            raise UserError(f"every call of {step.name} failed; the first said: {writer.first_failure}")
        path = self.scratch / f"{time.monotonic_ns()}.answers.parquet"
        return match(keyed, writer.folder, writer.failures, path, step.writes)

    def _known_before(self, step: Step, known: int) -> int:
        """Of so many known rows those that this run has not answered itself, ahead of the step."""
        name = self.answers(step).name
        mine = 0 if self.over is not None else min(self.early[name], known)
        self.early[name] -= mine
        return known - mine

    def _work(self, step: Step, todo: Path, writer: Writer) -> None:
        pool = self.pool()
        if isinstance(pool, Cluster):
            for done in pool.answer(step, todo, writer.folder, writer.failures, PART_ROWS, PART_SECONDS):
                writer.wrote(done)
                self._check_wanted()
            return
        keys: dict[int, str] = {}

        def rows() -> Iterator[dict[str, Any]]:
            for i, row in enumerate(iter_rows(todo)):
                self._check_wanted()
                keys[i] = row.pop("key")
                yield row

        for i, value in pool.map(step, rows()):
            key, value = keys.pop(i), settled(step, value)
            if isinstance(value, Abstained):
                writer.fail(key, value.why)
            else:
                writer.answer(key, value)

    def _check_wanted(self) -> None:
        if self.over is not None and self.over.is_set():
            raise Interrupted("rows that went ahead are no longer waited for")

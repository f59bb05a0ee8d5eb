"""The one place that spends: what a step has answered before is joined, and only the rest is worked out.

key = hash(step fingerprint, the columns it reads) · todo = keys anti-joined with the known answers ·
answers/<step>-<fingerprint>/*.parquet holds them as append-only parts.
"""

from __future__ import annotations

import threading
import time
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
from curate.parts import add_part, count, iter_rows, leave_out_damaged, scan_parts, set_aside_damaged, sink
from curate.pool import Abstained, Pool, settled
from curate.record import check_source
from curate.schema import content_hash
from curate.step import Step
from curate.writer import FAILED, PART_ROWS, PART_SECONDS, Writer

if TYPE_CHECKING:
    from curate.ahead import Way

Ahead = dict[str, dict[str, str | None]]
"""Folder of answers → key → why, where it failed: rows that a run has worked out ahead of their step."""
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
    ahead: Ahead = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)  # folders whose source has been compared
    unwanted: threading.Event | None = None  # of rows that go ahead: set where nobody waits for them any more

    def answers(self, step: Step) -> Path:
        """Where the answers of this step, with these fields, are kept; to a plan, those that are sound."""
        kept = Path("answers") / f"{step.name}-{step.fingerprint}"
        sound = self.scratch / kept
        return sound if self.looks and sound.exists() else self.folder / kept

    def todo(self, step: Step, keyed: Path, *failures: Path) -> Path:
        """One row for every key that nobody has answered: its `key`, and the columns the step reads.

        failures: parts with keys that are not asked again.
        """
        answers = self.answers(step)
        if self.looks:
            leave_out_damaged(answers, self.scratch / "answers" / answers.name)
        else:
            set_aside_damaged(answers)
        path = self.scratch / "todo.parquet"
        new = new_rows(keyed, self.answers(step), self.scratch / "new.parquet", *failures)
        sink(new.select("key", *step.columns), path).collect()
        return path

    def remember(self, step: Step, keyed: Path, way: Way) -> pl.LazyFrame:
        """Answer every row of `keyed` (a table with `key`), from memory where it can be.

        The rows come back with the step's `writes`, and with `why` where a call failed. way: the steps
        behind one that asks, for rows that go ahead while others are still with its engine.
        """
        failures = self.scratch / "failed" / f"{step.name}-{time.monotonic_ns()}"
        ahead = self._went_ahead(step, keyed, failures)
        todo = self.todo(step, keyed, failures)
        new, rows = count(todo), count(keyed)
        self.check_source(step, new > 0)
        writer = Writer(step, self.journal, self.answers(step), failures, new, rows - new - len(ahead))
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
        if self.unwanted is not None:
            self.note_ahead(writer, todo)
        if writer.rows_in_all != new:
            left = f"{new - writer.rows_in_all} of {new} rows"
            raise RunError(f"{step.name} neither answered nor set aside {left}; that is a fault of curate's")
        failed_ahead = [why for why in ahead.values() if why]
        all_failed = writer.failures_in_all + len(failed_ahead) == new + len(ahead) > 0
        if step.body == "ask" and all_failed and not any(writer.folder.glob("*.parquet")):
            first = (writer.first_failure or failed_ahead[0]).removeprefix("call failed: ")
            raise UserError(f"every call of {step.name} failed; the first said: {first}")
        path = self.scratch / f"{time.monotonic_ns()}.answers.parquet"
        return match(keyed, writer.folder, writer.failures, path, step.writes)

    def note_ahead(self, writer: Writer, todo: Path) -> None:
        """The rows of these parquet files were worked out before the walk has come to their step."""
        why = dict(scan_parts(writer.failures, FAILED).collect().rows())
        keys = pl.scan_parquet(todo).select("key").collect()["key"]
        self.ahead.setdefault(writer.folder.name, {}).update((key, why.get(key)) for key in keys)

    def _went_ahead(self, step: Step, keyed: Path, failures: Path) -> dict[str, str | None]:
        """Those of the rows that this run has worked out ahead: by key why, where they failed.

        What failed is put among the `failures`, so that it is not asked again; a step that the walk has come
        to counts them as its own.
        """
        noted = self.ahead.get(self.answers(step).name, {})
        if not noted:
            return {}
        keys = pl.scan_parquet(keyed).select(pl.col("key").unique()).collect()["key"]
        mine = {key: noted[key] for key in keys if key in noted}
        if failed := [{"key": key, "why": why} for key, why in mine.items() if why]:
            add_part(failures, failed, FAILED)
        if self.unwanted is None:
            for key in mine:
                del noted[key]
        return mine

    def check_source(self, step: Step, adds: bool) -> None:
        """Warn where another source has written answers of this step, once; note this one if it adds some."""
        answers = self.answers(step)
        check_source(step, answers, adds=adds, warns=answers.name not in self.checked)
        self.checked.add(answers.name)

    def _work(self, step: Step, todo: Path, writer: Writer) -> None:
        pool = self.pool()
        if isinstance(pool, Cluster):
            into, most = (writer.folder, writer.failures), (PART_ROWS, PART_SECONDS)
            for done in pool.answer(step, todo, into, most, self._check_wanted):
                writer.wrote(done)
            return
        keys: dict[int, str] = {}

        def rows() -> Iterator[dict[str, Any]]:
            for i, row in enumerate(iter_rows(todo)):
                self._check_wanted()
                keys[i] = row.pop("key")
                yield row

        for i, value in pool.map(step, rows(), spare=int(self.unwanted is not None)):
            key, value = keys.pop(i), settled(step, value)
            if isinstance(value, Abstained):
                writer.fail(key, value.why)
            else:
                writer.answer(key, value)

    def _check_wanted(self) -> None:
        if self.unwanted is not None and self.unwanted.is_set():
            raise Interrupted("rows that went ahead are no longer waited for")

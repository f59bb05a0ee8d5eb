"""Answers on their way to the disk: appended as parts, with the ledger and the progress bar in step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from curate.host import Done
from curate.identity import engines, model_name
from curate.journal import Journal
from curate.parts import add_part
from curate.progress import Meter
from curate.step import Step

PART_ROWS, PART_SECONDS = 2_000, 10.0
FAILED: dict[str, Any] = {"key": pl.String, "why": pl.String}


class Writer:
    """Collects what a step answers and appends it as parts.

    folder, failures: where the parts of answers go, and those of rows whose call failed.
    new, cached: rows to be worked out, and rows that were answered before.
    """

    def __init__(
        self, step: Step, journal: Journal, folder: Path, failures: Path, new: int, cached: int
    ) -> None:
        self.step, self.journal, self.cached = step, journal, cached
        self.folder, self.failures = folder, failures
        self.schema = {"key": pl.String, **step.writes}
        self.engine = ", ".join(model_name(e) for e in engines(step).values())
        self.meter = Meter(step.name, new, cached)
        self.rows: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.rows_in_all, self.failures_in_all, self.first_failure = 0, 0, ""
        self.written_at = time.monotonic()
        self.ended_at: float | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self.part: Future[None] | None = None

    @property
    def left(self) -> int:
        """Rows that are neither answered nor failed."""
        return self.meter.total - self.rows_in_all

    def more(self, new: int) -> None:
        """So many rows more are to be worked out."""
        self.meter.more(new)
        self.ended_at = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count only the seconds inside, to the last row's answer: a model that is loaded or shut down says
        nothing of its speed."""
        self.written_at = self.meter.started = time.monotonic()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self.meter.close()
        if self.ended_at is None:
            self.ended_at = time.monotonic()

    def answer(self, key: str, value: Any) -> None:
        self.rows.append({"key": key, **self.step.pack(value)})
        self._one_more()

    def fail(self, key: str, why: str) -> None:
        self.failures_in_all += 1
        self.first_failure = self.first_failure or why.removeprefix("call failed: ")
        self.failed.append({"key": key, "why": why})
        self._one_more()

    def _one_more(self) -> None:
        self.rows_in_all += 1
        self.meter.rows()
        if not self.left:
            self.ended_at = time.monotonic()
        waiting = len(self.rows) + len(self.failed)
        if waiting >= PART_ROWS or time.monotonic() - self.written_at > PART_SECONDS:
            self.flush()

    def flush(self) -> Future[None]:
        """Everything so far into parts, in a thread of its own: the calls in flight wait for no disk."""
        if self.part is not None:
            self.part.result()  # one part at a time, so a slow disk slows the work down
        now = time.monotonic() if self.ended_at is None else self.ended_at
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
        self.rows_in_all += done.answered + done.failed
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

"""Rows are worked on in processes that can be killed: one that hangs or crashes costs its own answer only.

The workers are plain child processes with pipes, not multiprocessing, so threads, notebooks, scripts on stdin
and asyncio loops may all call a pool. Steps travel by cloudpickle: one that was defined in a notebook works.
"""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from curate.errors import RunError, place
from curate.process import Abstained, Bug, Order, Process, started
from curate.schema import Row
from curate.step import Step, Verdict, Verifier
from curate.worker import KNOWN_STEPS, dumps, portable

__all__ = ["Abstained", "Pool", "WorkerTraceback", "settled"]

TIMEOUT_S, MEMORY_MB = 60.0, 4096  # for a step that names no timeout_s or memory_mb
LOOK_S = 0.1  # polars restarts interrupted waits, so Ctrl-C is only seen by one that ends by itself
CHUNK_S, CHUNK_ROWS, CHUNK_BYTES = 0.03, 1024, 1 << 20  # a chunk takes about so long, and never holds more
KILLED = Abstained(f"crashed: signal {signal.SIGKILL:d}")


class WorkerTraceback(Exception):
    """The worker's traceback, as text: the cause of the RunError that a bug in a step becomes."""


@dataclass(eq=False)
class _Job:
    """One step as it is sent, and how many rows of it make a chunk."""

    step: Step
    order: Order
    chunk: int = 1
    stopped: bool = False
    busy: set[Process] = field(default_factory=set)

    def learn(self, seconds: float) -> None:
        """Double or halve the chunk, so that what a chunk costs is small and a stop is quick."""
        if seconds < CHUNK_S / 2:
            self.chunk = min(self.chunk * 2, CHUNK_ROWS)
        elif seconds > CHUNK_S * 2:
            self.chunk = max(self.chunk // 2, 1)


class _Item(NamedTuple):
    number: int
    row: Row
    pickled: bytes


class Pool:
    """Worker processes for `row` steps, warm until the pool is closed; any thread may call it.

    workers: how many processes; the number of cores unless given.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _cores()
        self._idle: queue.LifoQueue[Process | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)
        self._all: set[Process] = set()
        self._orders: dict[int, tuple[Step, Order]] = {}  # by id, which is the step's own while it is held
        self._closed = False
        # Linux kills a worker when the *thread* that started it ends, so one thread that lives as long as the
        # pool starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="curate-pool-starter")

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all workers; what they were doing is lost."""
        self._closed = True
        self._orders.clear()
        self._starter.shutdown(wait=True)
        for worker in list(self._all):
            worker.kill()
        for _ in range(self.workers):  # wait for the threads that still hold one, and let go of its pipes
            if (idle := self._idle.get()) is not None:
                idle.close_pipes()
        for _ in range(self.workers):
            self._idle.put(None)

    def run(self, step: Step, row: Row) -> Any:
        """The value of `step.row(row)`, or Abstained.

        It blocks; on an event loop: `await asyncio.to_thread(pool.run, step, row)`.
        """
        job = self._job(step)
        answers = [value for batch in self._work(job, [_item(step, 0, row)]) for _, value in batch]
        return answers[0]

    def map(self, step: Step, rows: Iterable[Row], spare: int = 0) -> Iterator[tuple[int, Any]]:
        """Yield (index in rows, value or Abstained) as they are done, in any order.

        `rows` is pulled in the caller's thread, a few chunks ahead and no more. spare: so many workers are
        left to others, where there are more.
        """
        job, source = _Job(step, _order(step)), enumerate(rows)
        done: queue.SimpleQueue[list[tuple[int, Any]] | Future[None]] = queue.SimpleQueue()
        in_flight, workers = 0, max(1, self.workers - spare)
        drivers = ThreadPoolExecutor(workers, thread_name_prefix="curate-pool")
        try:
            while True:
                while in_flight < 2 * self.workers and (chunk := _take(job, source)):
                    drivers.submit(self._drive, job, chunk, done).add_done_callback(done.put)
                    in_flight += 1
                if not in_flight:
                    return
                try:
                    got = done.get(timeout=LOOK_S)
                except queue.Empty:
                    continue
                if isinstance(got, Future):
                    in_flight -= 1
                    got.result()
                else:
                    yield from got
        finally:
            job.stopped = True
            while in_flight:  # Ctrl-C, an error, or a caller who has seen enough
                for worker in list(job.busy):
                    with worker.lock:  # by now it may work for another map
                        if worker in job.busy:
                            worker.kill()
                with suppress(queue.Empty):
                    in_flight -= isinstance(done.get(timeout=LOOK_S), Future)
            drivers.shutdown()

    def _job(self, step: Step) -> _Job:
        """A step that is asked row by row is pickled once: it is frozen."""
        if (known := self._orders.get(id(step))) is None:
            if len(self._orders) >= KNOWN_STEPS:
                self._orders.clear()
            known = self._orders[id(step)] = step, _order(step)
        return _Job(step, known[1])

    def _drive(self, job: _Job, chunk: list[_Item], done: queue.SimpleQueue[Any]) -> None:
        start = time.monotonic()
        for batch in self._work(job, chunk):
            done.put(batch)
        job.learn(time.monotonic() - start)

    def _work(self, job: _Job, todo: list[_Item]) -> Iterator[list[tuple[int, Any]]]:
        """Answer all of `todo`, on as many workers as die of it.

        A worker killed from outside (the kernel is short of memory) says nothing of its row, which is tried
        once more; a row whose second worker is killed too is taken for the cause.
        """
        killed: set[int] = set()
        while todo and not job.stopped:
            with self._borrow(job) as worker:
                for values in worker.work(job.order, [item.pickled for item in todo]):
                    if self._closed:  # the kill that close() sent is no verdict on the row
                        raise RunError("the worker pool was closed while rows were being worked on")
                    last = todo[len(values) - 1].number
                    if isinstance(values[-1], Abstained) and values[-1] == KILLED and last not in killed:
                        killed.add(last)
                        values = values[:-1]
                    answered, todo = todo[: len(values)], todo[len(values) :]
                    for item, value in zip(answered, values, strict=True):
                        if isinstance(value, Bug):
                            raise _run_error(job.step, item, value) from WorkerTraceback(value.trace)
                    yield [(item.number, value) for item, value in zip(answered, values, strict=True)]

    @contextmanager
    def _borrow(self, job: _Job) -> Iterator[Process]:
        worker = self._idle.get()
        try:
            if worker is None or worker.dead:
                if self._closed:
                    raise RunError("the worker pool is closed; open a new one")
                worker = self._starter.submit(started).result()
                self._all.add(worker)
            job.busy.add(worker)
            yield worker
        finally:
            if worker is not None:
                with worker.lock:
                    job.busy.discard(worker)
                if worker.busy:  # its caller left in the middle of a chunk, and nobody else wants the rest
                    worker.kill()
                if worker.dead:
                    worker.close_pipes()
                    self._all.discard(worker)
                    worker = None
            self._idle.put(worker)


def _order(step: Step) -> Order:
    pickled = portable(step)
    return Order(
        key=hashlib.blake2b(pickled, digest_size=16).digest(),
        pickled=pickled,
        timeout_s=float(getattr(step, "timeout_s", TIMEOUT_S)),
        memory_mb=int(getattr(step, "memory_mb", MEMORY_MB)),
    )


def _take(job: _Job, source: Iterator[tuple[int, Row]]) -> list[_Item]:
    """The next chunk: as many rows as the job has learnt to send at once, within CHUNK_BYTES."""
    items: list[_Item] = []
    size = 0
    while len(items) < job.chunk and size < CHUNK_BYTES:
        entry = next(source, None)
        if entry is None:
            break
        items.append(_item(job.step, *entry))
        size += len(items[-1].pickled)
    return items


def _item(step: Step, index: int, row: Row) -> _Item:
    return _Item(index, row, dumps({column: row[column] for column in step.columns}))


def settled(step: Step, value: Any) -> Any:
    """What a row's value is remembered as: a verifier's abstention is its verdict; another step has none."""
    unsure = isinstance(value, Abstained) and isinstance(step, Verifier)
    return Verdict(None, value.why) if unsure else value


def _run_error(step: Step, item: _Item, bug: Bug) -> RunError:
    row = item.row.get("trace_id") or item.row.get("problem_id")
    if not row:
        column = next((c for c in ("question", *item.row) if item.row.get(c)), None)
        row = f"with {column}={str(item.row[column])[:60]!r}" if column else f"number {item.number}"
    return RunError(
        f"step {step.name} has a bug: row {row} raised {bug.kind}: {bug.text}{place(bug.trace)}; "
        f"of the row it reads {', '.join(step.columns) or 'no column'}"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

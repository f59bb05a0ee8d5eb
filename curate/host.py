"""The far end of a cluster's row steps: an actor on one machine, with killable worker processes of its own.

It reads its rows from the run folder and writes their answers there as parts, so that nobody carries them. So
it does with a part of the input.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.errors import RunError, UserError
from curate.parts import add_part, iter_rows
from curate.pool import Abstained, Pool, settled
from curate.schema import Row
from curate.step import Step


def import_from(path: list[str]) -> None:
    """Let this process import from where the driver does, as far as these folders are here too."""
    sys.path += [p for p in map(os.path.abspath, path) if p not in sys.path]


def unpickled(data: bytes) -> Any:
    """What the driver sent. Every machine has to have the same packages."""
    try:
        return pickle.loads(data)
    except ModuleNotFoundError as e:
        raise UserError(
            f"the machine {socket.gethostname()} of the cluster cannot import {e.name!r}; install the same "
            "packages on all of them"
        ) from None


class Shard(NamedTuple):
    """Some of the rows to be worked on: `start` to `stop` of the table `todo`, and where to write."""

    step: bytes
    todo: Path
    start: int
    stop: int
    answers: Path
    failures: Path
    seconds: float  # then the host stops taking rows, and says how far it came


class Done(NamedTuple):
    """A host answered all rows up to `end` and wrote them down; `failed` are those without an answer."""

    end: int
    answered: int
    failed: int


class Broken(NamedTuple):
    """A RunError with its traceback, which pickle would leave behind."""

    sentence: str
    trace: str


class Host:
    """The actor: some worker processes on one machine."""

    def __init__(self, path: list[str], workers: int) -> None:
        import_from(path)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.pool = Pool(workers)
        self.reads = threading.Lock()  # two at once would share a processor, and need twice the memory

    def pid(self) -> int:
        return os.getpid()

    def answer(self, shard: Shard) -> Done | Broken:
        """Work on rows that lie in a file, and write the answers into parts."""
        _check_shared(shard.todo)
        step: Step = unpickled(shard.step)
        rows: dict[int, dict[str, Any]] = {}
        failed: dict[int, dict[str, Any]] = {}
        keys: list[str] = []
        try:
            for i, value in self.pool.map(step, _rows(shard, keys)):
                value = settled(step, value)
                if isinstance(value, Abstained):
                    failed[i] = {"key": keys[i], "why": value.why}
                else:
                    rows[i] = {"key": keys[i], **step.pack(value)}
        except RunError as e:
            return Broken(str(e), str(e.__cause__ or ""))
        if rows:
            add_part(shard.answers, _in_order(rows), {"key": pl.String, **step.writes})
        if failed:
            add_part(shard.failures, _in_order(failed), {"key": pl.String, "why": pl.String})
        return Done(shard.start + len(keys), len(rows), len(failed))

    def read(self, folder: Path, work: bytes) -> Any:
        """Read a part of the input into the folder, as the driver says."""
        _check_shared(folder)
        with self.reads:
            return unpickled(work)()

    def map(self, step: bytes, rows: list[Row]) -> list[Any] | Broken:
        """The values of these rows, in order."""
        values: dict[int, Any] = {}
        try:
            values.update(self.pool.map(unpickled(step), rows))
        except RunError as e:
            return Broken(str(e), str(e.__cause__ or ""))
        return [values[i] for i in range(len(rows))]


def _check_shared(path: Path) -> None:
    if not path.exists():
        raise UserError(
            f"the machine {socket.gethostname()} of the cluster does not see {path}; put the run folder on a "
            "file system that all machines share"
        )


def _in_order(rows: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """As they stand in the table, so that the same rows worked on again are the same part."""
    return [rows[i] for i in sorted(rows)]


def _rows(shard: Shard, keys: list[str]) -> Iterator[Row]:
    """The shard's rows, as long as there is time; `keys` are those of the rows that were given out."""
    late = time.monotonic() + shard.seconds
    for row in iter_rows(shard.todo, shard.start, shard.stop):
        keys.append(row.pop("key"))
        yield row
        if time.monotonic() > late:
            return

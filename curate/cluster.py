"""Row steps run on the machines of a Ray cluster, under the limits they have in one process.

Each host is an actor with killable worker processes of its own (host.py). It reads its rows from the run
folder and writes its answers there, so the driver carries neither. All machines have to see that folder.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curate.errors import EngineDown, RunError, UserError, require
from curate.host import Broken, Done, Host, Shard
from curate.parts import count
from curate.pool import WorkerTraceback
from curate.schema import Row
from curate.step import Step
from curate.worker import portable

INSTALL = "pip install 'trace-curate[ray]'"
REACH_S = 5.0  # a cluster that does not take a connection in that time is not there
LOOK_S = 0.1  # a wait that never ends by itself would not see Ctrl-C
TRIES = 5  # so many hosts may die over the same rows
MAP_ROWS = 256  # rows of one message, where rows are sent at all
Check = Callable[[], object]
_QUIET = {  # set before Ray is imported, where the user has not
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told what is run here
    "RAY_process_group_cleanup_enabled": "1",  # what a killed replica had started dies with it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # what asked for no GPU sees none
}


def attach() -> Any:
    """The module `ray`, connected: to the cluster that RAY_ADDRESS names, else to one started here.

    One that is started here has no dashboard, tells nobody, and ends with this process.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = require("ray", INSTALL)
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS") or "local"
    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 512 << 20}
    options = {"log_to_driver": False, "logging_level": "error", **(local if address == "local" else {})}
    try:
        _reach(address)
        _in_lasting_thread(lambda: ray.init(address=address, **options))
    except (OSError, RuntimeError, ValueError) as e:
        remedy = "" if address == "local" else "; is RAY_ADDRESS right, and does `ray status` there answer?"
        raise EngineDown(f"no Ray cluster at {address!r}: {first_line(e)}{remedy}") from e
    # Of a process that dies Ray tells on standard output, which is for results; we tell it ourselves.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _reach(address: str) -> None:
    """Raises OSError where nobody listens at the address of a cluster: Ray itself would try for minutes."""
    at = urlsplit(f"//{address.rpartition('://')[2]}")
    if at.hostname and at.port:
        socket.create_connection((at.hostname, at.port), REACH_S).close()


def _in_lasting_thread(work: Callable[[], Any]) -> None:
    """Do the work in a thread that, where it succeeds, lasts as long as this process.

    The kernel kills what Ray starts here when the thread that started it ends, and an engine is opened in a
    thread that ends with its run.
    """
    ended = Future[None]()

    def last() -> None:
        try:
            work()
        except BaseException as e:  # noqa: BLE001 - it is raised again where it is waited for
            ended.set_exception(e)
            return
        ended.set_result(None)
        threading.Event().wait()

    threading.Thread(target=last, name="ray", daemon=True).start()
    ended.result()


def share_of_cpus(ray: Any, among: int) -> int:
    """How many processors each of so many actors may take."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)) // among)


@dataclass(eq=False)
class _Seat:
    """One host, as the driver sees it."""

    actor: Any = None
    out: int = 0


@dataclass(eq=False)
class _Task:
    method: str
    args: tuple[Any, ...]
    first: int  # the number of its first row, or of its part of the input
    deaths: int = 0


class Cluster:
    """Row steps over a Ray cluster: the shape of Pool, and `answer` and `read`, which send no rows.

    hosts: how many actors; each has an equal share of the cluster's processors as worker processes.
    """

    def __init__(self, hosts: int) -> None:
        if hosts < 1:
            raise UserError(f"ray={hosts} hosts do nothing; give 1 or more")
        self._ray = attach()
        self._workers = share_of_cpus(self._ray, hosts)
        self._seats = [_Seat() for _ in range(hosts)]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End all hosts with their workers; what they were doing is lost."""
        for seat in self._seats:
            self._end(seat)

    def run(self, step: Step, row: Row) -> Any:
        """The value of `step.row(row)`, or Abstained."""
        [(_, value)] = self.map(step, [row])
        return value

    def map(self, step: Step, rows: Iterable[Row]) -> Iterator[tuple[int, Any]]:
        """Yield (index in rows, value or Abstained) as they are done, in any order. Rows go in chunks."""
        sent, source, number = portable(step), iter(rows), 0

        def chunk() -> _Task | None:
            nonlocal number
            taken = [row for row, _ in zip(source, range(MAP_ROWS), strict=False)]
            read = [{**{c: row[c] for c in step.columns}, **_ids(row)} for row in taken]
            number += len(taken)
            return _Task("map", (sent, read), number - len(taken)) if taken else None

        for task, values in self._over(chunk):
            yield from enumerate(values, task.first)

    def answer(
        self, step: Step, todo: Path, into: tuple[Path, Path], most: tuple[int, float], check: Check
    ) -> Iterator[Done]:
        """Answer the table `todo`; hosts write parts, of `most` rows and after so many seconds at most, into
        folders of answers and of failures. check: called while it waits; what it raises ends them."""
        todo, answers, failures = (path.absolute() for path in (todo, *into))
        total, sent = count(todo), portable(step)
        size = max(1, min(most[0], total // (4 * len(self._seats))))
        waiting = deque((at, min(at + size, total)) for at in range(0, total, size))

        def shard() -> _Task | None:
            if not waiting:
                return None
            start, stop = waiting.popleft()
            return _Task("answer", (Shard(sent, todo, start, stop, answers, failures, most[1]),), start)

        for task, done in self._over(shard, check):
            if done.end < (stop := task.args[0].stop):
                waiting.append((done.end, stop))
            yield done

    def read(self, folder: Path, parts: Iterator[tuple[int, Callable[[], Any]]]) -> Iterator[tuple[int, Any]]:
        """Yield what these return on hosts that see the folder, with their numbers, in any order."""
        tasks = (_Task("read", (folder, portable(read)), number) for number, read in parts)
        for task, value in self._over(lambda: next(tasks, None)):
            yield task.first, value

    def _over(self, more: Callable[[], _Task | None], check: Check = int) -> Iterator[tuple[_Task, Any]]:
        """Give each host two tasks at a time; those of a host that died go to another."""
        ray, again = self._ray, deque[_Task]()
        flying: dict[Any, tuple[_Seat, Any, _Task]] = {}
        try:
            while True:
                while len(flying) < 2 * len(self._seats) and (task := again.popleft() if again else more()):
                    seat = min(self._seats, key=lambda s: s.out)
                    actor = self._actor(seat)
                    flying[getattr(actor, task.method).remote(*task.args)] = seat, actor, task
                    seat.out += 1
                if not flying:
                    return
                check()
                for ref in ray.wait(list(flying), num_returns=1, timeout=LOOK_S)[0]:
                    seat, actor, task = flying.pop(ref)
                    seat.out -= 1
                    try:
                        value = ray.get(ref)
                    except ray.exceptions.RayTaskError as e:
                        raise e.cause from None
                    except ray.exceptions.RayError as e:
                        again.append(self._survived(seat, actor, task, e))
                        continue
                    if isinstance(value, Broken):
                        raise RunError(value.sentence) from WorkerTraceback(value.trace)
                    yield task, value
        finally:
            for seat, _, _ in flying.values():  # Ctrl-C, an error, or a caller who has seen enough
                seat.out = 0
                self._end(seat)

    def _survived(self, seat: _Seat, actor: Any, task: _Task, error: Exception) -> _Task:
        """The task of a host that died, to be given to another."""
        if seat.actor is actor:
            self._end(seat)
        task.deaths += 1
        if task.deaths == TRIES:
            at, last = task.first, first_line(error)
            what = f"part {at + 1} of the input" if task.method == "read" else f"the rows from {at} on"
            raise RunError(f"{TRIES} hosts of the cluster died over {what}; the last: {last}")
        return task

    def _actor(self, seat: _Seat) -> Any:
        if seat.actor is None:
            # It asks Ray for no processor: engines and hosts then start on a machine of any size.
            options = {"num_cpus": 0, "max_concurrency": 4, "scheduling_strategy": "SPREAD"}
            seat.actor = self._ray.remote(Host).options(**options).remote(sys.path, self._workers)
        return seat.actor

    def _end(self, seat: _Seat) -> None:
        if seat.actor is not None:
            self._ray.kill(seat.actor)
            seat.actor = None


def _ids(row: Row) -> Row:
    """By what a bug names its row."""
    return {k: row[k] for k in ("trace_id", "problem_id") if row.get(k)}


def first_line(error: BaseException) -> str:
    """What an error says, without the pages that follow."""
    plain = re.sub(r"\x1b\[\d+m", "", str(error))
    return next((line.strip()[:300] for line in plain.splitlines() if line.strip()), type(error).__name__)

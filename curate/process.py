"""One child process that answers rows and can be killed: its pipes' near ends (worker.py has the far ones).

A row's time does not run while Python looks for modules: the first use of a heavy library is not a hang.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from curate import worker as wire
from curate.errors import RunError

IMPORT_S = 60.0  # so much of a row's time is forgiven for imports, and no more
START_S = 60.0  # a worker that is not ready by then never will be
STARTS = 3  # one that is killed before it is ready says nothing of the next, so often


class Abstained(NamedTuple):
    """No answer for this row: "timeout: 5.0 s", "memory: 2048 MB", "crashed: signal 11"."""

    why: str


class Bug(NamedTuple):
    """What a row raised: the exception's type, its text, the worker's traceback."""

    kind: str
    text: str
    trace: str


class Order(NamedTuple):
    """One step as it is sent: `key` is the hash of `pickled`; the limits hold for each row."""

    key: bytes
    pickled: bytes
    timeout_s: float
    memory_mb: int


START = "from curate.worker import main; main()"  # not -m: importing curate may import the worker first


class Process:
    """One process and the near ends of its pipes; one thread at a time holds it."""

    def __init__(self) -> None:
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        path = os.pathsep.join([*(os.path.abspath(p) for p in sys.path), home])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(os.getpid()), os.environ.get("PYTHONPATH", "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self.process.stdin and self.process.stdout
        self.inp, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.inp, False)
        self.known: set[bytes] = set()
        self.buffer, self.busy, self.dead, self.lock = bytearray(), False, False, threading.RLock()
        self.deadline = time.monotonic() + START_S
        if not next(self._exchange(b""), None):
            death = self.kill()
            self.close_pipes()
            raise RunError(f"a worker process did not start ({death}); try {sys.executable} -c '{START}'")

    def work(self, order: Order, rows: list[bytes]) -> Iterator[list[Any]]:
        """Yield the rows' values in order. An Abstained is the last: the process is dead by then."""
        self.busy, left, began = True, len(rows), time.monotonic()
        self.deadline = began + order.timeout_s
        try:
            for frames in self._exchange(self._message(order, rows)):
                now = time.monotonic()
                values = [_value(tag, payload, order) for tag, payload in frames if tag != wire.IMPORT]
                began = now if values else began
                self.deadline = min(now, began + IMPORT_S) + order.timeout_s
                left -= len(values)
                self.busy = left > 0
                if frames[-1][0] == wire.MEMORY:
                    self.kill()
                if values:
                    yield values
                if self.dead or not left:
                    return
        except BrokenPipeError:  # it died idle, before it knew of these rows: they are not to blame
            self.kill()
            return
        late = time.monotonic() >= self.deadline
        death = self.kill()
        yield [Abstained(f"timeout: {order.timeout_s} s" if late else f"crashed: {death}")]

    def _message(self, order: Order, rows: list[bytes]) -> bytes:
        work = wire.frame(wire.WORK, pickle.dumps((order.key, order.memory_mb, rows), protocol=5))
        if order.key in self.known:
            return work
        if len(self.known) >= wire.KNOWN_STEPS:
            self.known.clear()
        self.known.add(order.key)
        return wire.frame(wire.STEP, pickle.dumps((order.key, order.pickled), protocol=5)) + work

    def _exchange(self, message: bytes) -> Iterator[list[tuple[int, bytes]]]:
        """Write `message` while reading frames, so that two full pipes never wait for each other.

        Ends when the process is gone, or the deadline is past and nothing is there to read.
        """
        poll, rest = select.poll(), memoryview(message)
        poll.register(self.out, select.POLLIN)
        if rest:
            poll.register(self.inp, select.POLLOUT)
        while ready := dict(poll.poll(max(self.deadline - time.monotonic(), 0) * 1000)):
            if self.inp in ready:
                rest = rest[os.write(self.inp, rest[:1048576]) :]
                if not rest:
                    poll.unregister(self.inp)
            if self.out in ready:
                data = os.read(self.out, 1048576)
                if not data:
                    return
                self.buffer += data
                if frames := self._frames():
                    yield frames

    def _frames(self) -> list[tuple[int, bytes]]:
        """Take the whole frames out of the buffer."""
        frames, at, head = [], 0, wire.HEAD
        while at + head.size <= len(self.buffer):
            tag, length = head.unpack_from(self.buffer, at)
            if at + head.size + length > len(self.buffer):
                break
            frames.append((tag, bytes(self.buffer[at + head.size : at + head.size + length])))
            at += head.size + length
        del self.buffer[:at]
        return frames

    def kill(self) -> str:
        """End the process and all it started, and say how it had ended; any thread may."""
        with self.lock:
            if not self.dead:
                self.dead = True
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # one already dying keeps its own exit code
                self.process.wait()
        code = self.process.returncode
        return f"signal {-code}" if code < 0 else f"exit {code}"

    def close_pipes(self) -> None:
        """Only the thread that holds the worker may: another could still be polling these descriptors."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


def started() -> Process:
    """A process that is ready; where one ends before it is, another is tried."""
    for _ in range(STARTS - 1):
        with suppress(RunError):
            return Process()
    return Process()


def _value(tag: int, payload: bytes, order: Order) -> Any:
    if tag == wire.VALUE:
        return pickle.loads(payload)
    return Abstained(f"memory: {order.memory_mb} MB") if tag == wire.MEMORY else Bug(*pickle.loads(payload))

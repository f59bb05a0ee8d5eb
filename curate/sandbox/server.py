"""The caller's end of the fork server: start a run, talk to it, and know how it ended.

One warden serves all threads of a process, from the first run until the process ends.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.sandbox import bubblewrap

START_S = 60.0
BOOT = """
import sys, types
curate = types.ModuleType("curate")
curate.__path__ = [sys.argv.pop(1)]
sys.modules["curate"] = curate
from curate.sandbox.warden import main
main()
"""
"""The package's own __init__ would load polars into a process that forks hundreds of times a second."""


class SandboxDown(Exception):
    """The sandbox itself failed: no word about the program."""


@dataclass(frozen=True)
class Limits:
    """Of one run. cpu_s counts per process, memory_mb all processes together, files_mb what /tmp holds."""

    memory_mb: int
    cpu_s: int
    files_mb: int = 64


@dataclass
class Run:
    """One run while it lasts: `line` to the role's process, pipes of its output, the keeper's report."""

    report: socket.socket
    line: socket.socket
    out: int | None = None
    err: int | None = None
    ended: dict[str, Any] | None = None

    def stop(self) -> None:
        """Ask for its end, and do not wait for it."""
        with suppress(OSError):
            self.report.shutdown(socket.SHUT_WR)

    def end(self, wait_s: float = 10.0) -> dict[str, Any]:
        """Kill what still runs, wait for it to be gone, and say how it ended: code, killed, cpu_s."""
        if self.ended is None:
            self.stop()
            self.ended = self.wait(time.monotonic() + wait_s) or {"broken": "no report"}
        return self.ended

    def wait(self, deadline: float) -> dict[str, Any] | None:
        """How it ended, or None where it still runs at the deadline."""
        if self.ended is None:
            poll = select.poll()
            poll.register(self.report, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            told = self.report.recv(8192)
            self.ended = json.loads(told) if told else {"broken": "the sandbox ended without a report"}
        return self.ended

    def close(self) -> None:
        self.end()
        self.report.close()
        self.line.close()
        for fd in (self.out, self.err):
            if fd is not None:
                os.close(fd)


class Server:
    """A warden and the socket to it. Raises SandboxDown where the level cannot be had."""

    def __init__(self, level: str) -> None:
        self.level = level
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self.process = _started(level, theirs.fileno())
        except OSError as e:
            self.control.close()
            raise SandboxDown(str(e)) from None
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.control.settimeout(START_S)
        try:
            told = self.control.recv(8192)
        except OSError as e:
            told = json.dumps({"error": str(e)}).encode()
        self.control.settimeout(None)
        if told != b"{}":
            self.close()
            said = self._last_words()
            raise SandboxDown(json.loads(told)["error"] if told else said)
        self.process.stderr.close()  # type: ignore[union-attr]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _last_words(self) -> str:
        """What it, or bubblewrap, said when it did not start."""
        with self.process.stderr as said:  # type: ignore[union-attr]
            lines = said.read(8192).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "the fork server did not start"

    def close(self) -> None:
        """End the warden and all that runs under it; a second call does nothing."""
        if self.control.fileno() < 0:
            return
        self.control.close()
        os.close(self.null)
        self.process.kill()
        self.process.wait()

    @contextmanager
    def run(
        self, role: str, job: Any, limits: Limits, stdin: bytes | None = None, *more: int
    ) -> Iterator[Run]:
        """Start `role` on `job`; at the end of the block nothing of it is left.

        stdin: what it reads, and then its output comes through pipes; None: neither. more: descriptors that
        it gets after its own.
        """
        with ExitFds() as fds:
            report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            line, far = socket.socketpair()
            fds.take(theirs.detach(), far_fd := far.detach())
            run = Run(report, line)
            given = [self.null] * 3
            if stdin is not None:
                run.out, out = os.pipe2(os.O_CLOEXEC)
                run.err, err = os.pipe2(os.O_CLOEXEC)
                fds.take(out, err)
                for fd in (run.out, run.err):  # a program may open its end to read, and be faster than we are
                    os.set_blocking(fd, False)
                given = [fds.take(sealed(stdin)), out, err]
                for fd in (out, err) if os.geteuid() == 0 else ():
                    os.fchown(fd, 65534, 65534)  # so that /dev/stdout can be opened
            text = fds.take(sealed(json.dumps(job).encode()))
            request = {
                "role": role,
                "memory_mb": limits.memory_mb,
                "cpu_s": limits.cpu_s,
                "files_mb": limits.files_mb,
                "others": bubblewrap.strangers() if self.level == "bubblewrap" else 0,
            }
            try:
                socket.send_fds(
                    self.control, [json.dumps(request).encode()], [fds.first, *given, text, far_fd, *more]
                )
            except OSError as e:
                run.ended = {"broken": str(e)}
                run.close()
                raise SandboxDown(f"the fork server is gone: {e}") from None
        try:
            yield run
        finally:
            run.close()


def _started(level: str, control: int) -> subprocess.Popen[bytes]:
    """The warden's process. Raises OSError."""
    package = str(Path(__file__).resolve().parent.parent)
    python = [sys.executable]
    if level == "bubblewrap":
        python = [*bubblewrap.prefix(package), os.path.realpath(sys.executable)]
    flags = ["-s", "-S", "-P", "-B", "-X", "utf8", "-c", BOOT]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*python, *flags, package, level, str(os.getpid())],
            stdin=control, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd="/", env={"PYTHONHASHSEED": "0"},
        )  # fmt: skip

    return start() if level != "bubblewrap" else _by_a_thread_that_stays(start)


def _by_a_thread_that_stays(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """--die-with-parent means the thread that started it: one is kept for as long as the process lives."""
    started: Future[subprocess.Popen[bytes]] = Future()

    def stay() -> None:
        try:
            process = start()
        except OSError as e:
            started.set_exception(e)
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=stay, daemon=True).start()
    return started.result()


class ExitFds:
    """Descriptors that are closed at the end of a block."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def __enter__(self) -> ExitFds:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self.fds:
            os.close(fd)

    def take(self, *fds: int) -> int:
        self.fds += fds
        return fds[0]

    @property
    def first(self) -> int:
        return self.fds[0]


def sealed(data: bytes) -> int:
    """A descriptor to read `data` from, which nobody can write to or make longer."""
    import fcntl

    fd = os.memfd_create("curate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, 1033, 0x1 | 0x2 | 0x4 | 0x8)  # F_ADD_SEALS: seal, shrink, grow, write
    return fd

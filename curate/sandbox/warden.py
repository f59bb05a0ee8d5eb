"""The fork server: one small process that waits in the sandbox, and forks a fresh one in it for each run.

    caller ─ warden            in a file system of its own, unprivileged, the standard library loaded
              └ keeper         one a run: makes the namespaces, watches memory, reports how the run ended
                 └ program     process 1 of its PID namespace: when it dies, all it started die

The warden ends when its caller does, a keeper with the warden, a program with its keeper. A request is one
packet: JSON and file descriptors (server.py). The keeper's report goes back on the first of them.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import site
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from curate.sandbox import inside, kernel, landlock, root

WATCH_S = 0.02  # how often memory is looked at
ALIVE_S = 1.0  # how often the warden looks whether its caller lives
MOST_FDS = 8
LOADED = """
abc array ast base64 binascii bisect bz2 calendar cmath collections collections.abc contextlib copy csv
ctypes dataclasses datetime decimal difflib enum fractions functools gc gzip hashlib heapq hmac html io
inspect itertools json linecache locale lzma math numbers operator os pprint queue random re secrets
select signal site socket statistics string struct sys textwrap threading time timeit traceback types
typing unicodedata uuid warnings weakref zlib concurrent.futures multiprocessing encodings.idna
encodings.latin_1 encodings.utf_16 _decimal _elementtree _asyncio _queue _sqlite3 _ssl _uuid pyexpat
readline _curses
"""
"""Loaded before the file system shrinks: for speed, and because their shared libraries are not in it."""


def main() -> None:
    """Serve until the caller is gone. argv: the level ("full", "bubblewrap" or "weak"), the caller's PID."""
    level, caller = sys.argv[1], os.getppid() if sys.argv[1] == "bubblewrap" else int(sys.argv[2])
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for name in LOADED.split():
            with suppress(ImportError):
                importlib.import_module(name)
        with suppress(OSError):
            import ctypes

            ctypes.CDLL("libgcc_s.so.1")  # a thread that is cancelled asks for it by name
        for add in (site.setquit, site.setcopyright, site.sethelper):  # exit(), credits, help()
            add()
        _settle(level)
    except OSError as e:
        control.send(json.dumps({"error": str(e)}).encode())
        return
    os.environ.clear()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the keepers
    control.send(b"{}")
    _serve(control, level, caller)


def _settle(level: str) -> None:
    """Take the warden's own place: the small file system, then no privilege."""
    if level == "full":
        user, group = os.geteuid(), os.getegid()
        kernel.unshare(kernel.NEW_MOUNTS if user == 0 else kernel.NEW_USER | kernel.NEW_MOUNTS)
        if user:
            kernel.map_myself(user, group)
        root.enter()
    else:
        landlock.abi()
        root.libraries()
    kernel.become_nobody()
    if level == "full":
        _try_once()


def _try_once() -> None:
    """Raise OSError where this kernel does not let us make the namespaces."""
    ours, theirs = socket.socketpair()
    if not (pid := os.fork()):
        with suppress(BaseException):
            try:
                inside.new_namespaces()
            except OSError as e:
                theirs.send(str(e).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    theirs.close()
    if trouble := ours.recv(4096):
        raise OSError(trouble.decode())


def _serve(control: socket.socket, level: str, caller: int) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    fds, warden = array.array("i"), os.getpid()
    while os.getppid() == caller:
        if not poll.poll(ALIVE_S * 1000):
            continue
        message, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(MOST_FDS * fds.itemsize))
        if not message:
            return
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        with suppress(BlockingIOError):  # no process to be had: the caller sees its sockets close
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                _keep(json.loads(message), list(fds), level, warden)
        for fd in fds:
            os.close(fd)


def _keep(request: dict[str, Any], fds: list[int], level: str, warden: int) -> None:
    """Be the keeper of one run, to its end or to that of the warden; never returns."""
    report = socket.socket(fileno=fds[0])
    try:
        if level == "full":
            inside.new_namespaces()
        else:
            kernel.prctl(kernel.SUBREAPER, 1)
        kernel.die_with_parent(warden)
        ours, theirs = socket.socketpair()
        if not (pid := os.fork()):
            ours.close()
            report.close()
            inside.begin(request, fds[1:], level, theirs)
        theirs.close()
        for fd in fds[1:]:
            os.close(fd)
        told = _watch(pid, report, request["memory_mb"] << 20, level)
        if trouble := ours.recv(4096):
            told = {"broken": trouble.decode()}
    except OSError as e:
        told = {"broken": str(e)}
    with suppress(OSError):
        report.send(json.dumps(told).encode())
    os._exit(0)


def _watch(pid: int, report: socket.socket, memory: int, level: str) -> dict[str, Any]:
    """Wait for the end of the program, or kill it: when the caller hangs up, or for its memory."""
    program = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(program, select.POLLIN)
    poll.register(report, select.POLLIN)
    killed = ""
    while not (ready := dict(poll.poll(WATCH_S * 1000))):
        if _used(memory, _visible() if level == "full" else _children(), level != "full") > memory:
            killed = "memory"
            break
    if killed or program not in ready:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    if level != "full":
        _bury_all()
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "killed": killed, "cpu_s": usage.ru_utime + usage.ru_stime}


def _visible() -> list[int]:
    """All processes of the run, where its /proc is its own."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _used(limit: int, pids: list[int], below: bool) -> int:
    """Bytes of memory that these processes hold; shared pages count once where it matters.

    below: all are children of ours; else, before the run has its own /proc, strangers may be among them.
    """
    held = dict.fromkeys(pids, 0)
    for name in pids:
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/statm", "rb") as f:
                held[name] = int(f.read().split()[1]) * 4096
    total = sum(held.values())
    if total <= limit or len(pids) == 1:
        return total
    total = 0
    for name in pids:
        with suppress(OSError, StopIteration):
            with open(f"/proc/{name}/smaps_rollup", "rb") as f:
                total += int(next(line for line in f if line.startswith(b"Pss:")).split()[1]) * 1024
                continue
        total += held[name] if below else 0  # one of its own that made itself unreadable
    return total


def _bury_all() -> None:
    """Kill what the program left behind where no PID namespace does it: orphans come to the keeper."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        mine = _children()
        if not mine:
            return
        for pid in mine:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    """The processes below this one, by the parents that /proc names."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                with open(f"/proc/{name}/stat", "rb") as f:
                    parents[int(name)] = int(f.read().rsplit(b")", 1)[1].split()[1])
    found, front = [], [os.getpid()]
    while front:
        front = [pid for pid, parent in parents.items() if parent in front]
        found += front
    return found

"""From a fork in the sandbox to the first line of a program: namespaces, limits, no privilege, no exit."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from curate.sandbox import harness, kernel, landlock, seccomp, tester
from curate.sandbox.bubblewrap import processes_of_mine
from curate.sandbox.kernel import NO_DEV, NO_EXEC, NO_SUID, READ_ONLY

KEEPER = 255  # the descriptor of what the keeper is told
PROCESSES, FILES = 64, 128  # threads count as processes
STACK_MB, SPARE_MB = 128, 192  # SPARE_MB: what the bare interpreter maps, on top of the program's memory


def new_namespaces() -> None:
    """For this process new user, network, mount, IPC and UTS namespaces; a PID namespace for its children."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_NAMESPACES)
    kernel.map_myself(user, group)
    kernel.LIBC.sethostname(b"sandbox", 7)


def begin(request: dict[str, Any], fds: list[int], level: str, keeper: socket.socket) -> None:
    """Be the program that `request` describes; never returns. The keeper hears what went wrong."""
    try:
        kernel.die_with_parent(0)
        if select.select([keeper], [], [], 0)[0]:  # it died before we could ask to die with it
            os._exit(1)
        _own(fds, keeper)
        if level == "full":
            _own_files(request["files_mb"])
        _limit(request, 0 if level == "full" else request["others"] + processes_of_mine())
        kernel.drop_capabilities()
        if level != "full":
            landlock.restrict()
        kernel.prctl(kernel.PARENT_DEATH_SIGNAL, signal.SIGKILL)  # again: a change of rights forgets it
        seccomp.install(alone=level != "full")
    except BaseException as e:  # noqa: BLE001 - whatever it is, the program must not start
        os.write(KEEPER, f"{type(e).__name__}: {e}".encode())
        os._exit(1)
    _start(request["role"])


def _own(fds: list[int], keeper: socket.socket) -> None:
    """Put the descriptors at 0, 1, 2 and so on, the keeper's at its own number, and close all others."""
    os.setsid()
    high = [os.dup2(fd, 200 + i, False) for i, fd in enumerate(fds)]
    os.dup2(keeper.detach(), KEEPER, False)
    for i, fd in enumerate(high):
        os.dup2(fd, i, True)
    os.closerange(len(fds), KEEPER)


def _own_files(files_mb: int) -> None:
    """A /proc of this PID namespace where the kernel grants one, else none; an empty /tmp of its own."""
    flags = NO_SUID | NO_DEV | NO_EXEC
    try:
        kernel.mount("proc", "/proc", "proc", flags)
    except OSError:
        kernel.mount("curate", "/proc", "tmpfs", flags | READ_ONLY, "size=4k,nr_inodes=2")
    kernel.mount("curate", "/tmp", "tmpfs", flags, f"size={files_mb}m,nr_inodes=4000,mode=1777")
    os.chdir("/tmp")


def _limit(request: dict[str, Any], others: int) -> None:
    memory, files = request["memory_mb"] << 20, request["files_mb"] << 20
    kernel.limit(resource.RLIMIT_AS, memory + (SPARE_MB << 20))
    kernel.limit(resource.RLIMIT_STACK, min(memory, STACK_MB << 20), -1)  # programs often ask for more stack
    kernel.limit(resource.RLIMIT_CPU, request["cpu_s"], request["cpu_s"] + 1)
    kernel.limit(resource.RLIMIT_NPROC, PROCESSES + others)
    kernel.limit(resource.RLIMIT_NOFILE, FILES)
    kernel.limit(resource.RLIMIT_FSIZE, files)
    kernel.limit(resource.RLIMIT_CORE, 0)
    for kind in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        kernel.limit(kind, 0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _start(role: str) -> None:
    """Hand over to the role's code, forget ours, and never come back."""
    os.close(KEEPER)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = {"main": harness.main, "serve": harness.serve, "test": tester.main}[role]
    for name in [name for name in sys.modules if name.partition(".")[0] == "curate"]:
        del sys.modules[name]
    sys.argv[:] = ["program.py"]
    code = 1
    with suppress(BaseException):
        code = run()
    os._exit(code)

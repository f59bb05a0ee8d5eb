"""How well this machine can keep a program in, and the fork server that does it.

full          own user, mount, PID, network, IPC and UTS namespaces, a read-only file system, limits, a filter
bubblewrap    all runs of a process in one bubblewrap, each under what weak has: the outside is as far away as
              at full, but one run is kept from another by Landlock and the filter only
weak          no namespaces: Landlock for files and TCP, the same limits and filter, which refuses UDP
none          neither: programs are not run
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import lru_cache
from typing import Literal, NamedTuple

from curate.sandbox.server import SandboxDown, Server

Level = Literal["full", "bubblewrap", "weak", "none"]
_STARTING = threading.Lock()


class Isolation(NamedTuple):
    """The best level of this machine, and why it is not a better one."""

    level: Level
    reason: str


def isolation() -> Isolation:
    """Which level programs are run at here.

    >>> isolation().level  # doctest: +SKIP
    'full'
    """
    reason = ""
    for level in ("full", "bubblewrap", "weak"):
        try:
            server(level)
        except SandboxDown as e:
            reason += f"{level}: {e}; "
        else:
            return Isolation(level, reason.removesuffix("; "))
    return Isolation("none", reason.removesuffix("; "))


def server(level: str) -> Server:
    """The warm server of this process, started anew when it has died. Raises SandboxDown."""
    with _STARTING:
        found = _server(level, os.getpid())
        if isinstance(found, Server) and not found.alive:
            _server.cache_clear()
            found = _server(level, os.getpid())
    if isinstance(found, str):
        raise SandboxDown(found)
    return found


@lru_cache(maxsize=8)
def _server(level: str, pid: int) -> Server | str:
    """A server that ends with this process, or why there is none."""
    try:
        made = Server(level)
    except SandboxDown as e:
        return str(e)

    def close() -> None:
        if os.getpid() == pid:  # a forked copy of this process must leave it alone
            made.close()

    atexit.register(close)
    return made

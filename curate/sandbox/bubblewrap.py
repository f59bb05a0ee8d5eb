"""The command that starts a Python in bubblewrap, for where we may make no namespaces but `bwrap` may.

In it there are the runtime of Python and this package, read-only, an empty /tmp, a /proc and a /dev of its
own; no capability, no network, no environment. It is killed when the thread that started it ends.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from curate.sandbox.root import HOLLOW, libraries

SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")  # where the loader finds what Python is linked with
KEPT_IN = (
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
    "--setenv", "PYTHONHASHSEED", "0", "--chdir", "/",
)  # fmt: skip


def prefix(package: str) -> list[str]:
    """Bubblewrap's own words, to be followed by a command of `sys.base_prefix`. Raises OSError without it."""
    found = shutil.which("bwrap")
    if found is None:
        raise OSError("bwrap is not installed")
    if (
        os.geteuid() == 0
    ):  # the kernel counts no processes of root's, and only bubblewrap's user could be another
        raise OSError("not as root, whose processes no limit counts")
    words = [found, *KEPT_IN, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in SYSTEM:
        words += ["--ro-bind-try", path, path]
    for path in sorted({os.path.realpath(sys.base_prefix), sys.base_prefix, package} - {"/usr"}):
        words += ["--ro-bind", path, path]
    for path in (f"{library}/{name}" for library in libraries() for name in HOLLOW):
        words += ["--tmpfs", path] if os.path.isdir(path) else []
    return words


def strangers() -> int:
    """Processes and threads of this user that a limit inside counts, though they cannot be seen there: a
    bubblewrap with the setuid bit may have made no user namespace."""
    found = shutil.which("bwrap")
    if found is None or not os.stat(found).st_mode & stat.S_ISUID:
        return 0
    return processes_of_mine()


def processes_of_mine() -> int:
    """Processes and threads of this user: without a user namespace a limit counts them all."""
    total = 0
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                if place.stat().st_uid == os.geteuid():
                    total += len(os.listdir(place / "task"))
            except OSError:  # it has ended
                continue
    return total

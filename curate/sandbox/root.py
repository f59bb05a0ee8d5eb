"""The file system that a program sees: Python's standard library, a few devices, and nothing else.

Not there, on purpose: installed packages (a verdict must not depend on what a machine has installed, and a
folder of packages may hold private code), any program to execute, /etc, /home, /sys.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache

from curate.sandbox import kernel
from curate.sandbox.kernel import BIND, NO_DEV, NO_EXEC, NO_SUID, PRIVATE, READ_ONLY, RECURSIVE, REMOUNT

DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2", "shm": "/tmp",
}  # fmt: skip
HOLLOW = ("site-packages", "dist-packages")  # inside the library, but not of it


def enter() -> None:
    """Make the small file system and live in it: afterwards nothing else can be opened, by anyone here.

    Needs the right to mount: root, or a user namespace of one's own.
    """
    kernel.mount("none", "/", flags=RECURSIVE | PRIVATE)
    os.umask(0o022)
    here = _place()
    kernel.mount("curate", here, "tmpfs", NO_SUID, "size=4m,nr_inodes=1000,mode=755")
    for library in libraries():
        _show(library, here + library)
        for name in HOLLOW:
            if os.path.isdir(here + library + "/" + name):
                kernel.mount(
                    "curate", f"{here}{library}/{name}", "tmpfs",
                    READ_ONLY | NO_SUID | NO_DEV | NO_EXEC, "size=4k,nr_inodes=2,mode=755",
                )  # fmt: skip
    os.mkdir(f"{here}/dev")
    for name in DEVICES:
        os.close(os.open(f"{here}/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.mount(f"/dev/{name}", f"{here}/dev/{name}", flags=BIND)
    for name, target in LINKS.items():
        os.symlink(target, f"{here}/dev/{name}")
    for name in ("proc", "tmp"):
        os.mkdir(f"{here}/{name}")
    kernel.mount("/proc", f"{here}/proc", flags=BIND | RECURSIVE)  # covered by each run's own; see process.py
    kernel.mount("curate", here, flags=REMOUNT | BIND | READ_ONLY | NO_SUID)
    kernel.pivot_into(here)


@cache
def libraries() -> list[str]:
    """The folders of the standard library; the .so files of its modules may lie apart. Found once: later,
    without privilege, it may be out of sight."""
    found = {os.path.realpath(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))}
    found |= {os.path.realpath(p) for p in sys.path if p.endswith("lib-dynload")}
    return sorted(p for p in found if not any(p != q and p.startswith(q + "/") for q in found))


def _place() -> str:
    """A folder to build on; what it holds is only hidden from this process."""
    return next(p for p in ("/tmp", "/var/tmp", "/run", "/mnt") if os.path.isdir(p))


def _show(source: str, target: str) -> None:
    """Bind a folder, read-only."""
    os.makedirs(target, 0o755)
    kernel.mount(source, target, flags=BIND | RECURSIVE)
    kernel.mount(source, target, flags=REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEV)

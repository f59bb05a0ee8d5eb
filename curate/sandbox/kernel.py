"""The few system calls that Python has no function for: namespaces, mounts, capabilities, prctl."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

LIBC = ctypes.CDLL(None, use_errno=True)

NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"""User, mount, PID, network, IPC and UTS."""
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
DETACH = 2

PARENT_DEATH_SIGNAL, DUMPABLE, BOUND_DROP, SECCOMP, NO_NEW_PRIVILEGES, SUBREAPER = 1, 4, 24, 22, 38, 36
NOBODY = 65534
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def check(result: int, what: str) -> int:
    """Turn libc's -1 into an OSError that names the call."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def unshare(flags: int) -> None:
    check(LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    args = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    options = None if data is None else data.encode()
    check(LIBC.mount(*args, ctypes.c_ulong(flags), options), f"mount {target}")


def pivot_into(folder: str) -> None:
    """Make `folder` (a mount point) the root, and let go of all that was mounted elsewhere."""
    os.chdir(folder)
    number = PIVOT_ROOT[os.uname().machine]
    check(LIBC.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", DETACH), "umount2")
    os.chdir("/")


def prctl(option: int, value: int = 0) -> None:
    check(LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def die_with_parent(parent: int) -> None:
    """Be killed when the parent is gone; `parent` is 0 across a PID namespace, where nobody can check."""
    prctl(PARENT_DEATH_SIGNAL, 9)
    if parent and os.getppid() != parent:
        os._exit(1)


def map_myself(user: int, group: int) -> None:
    """In a user namespace just made, be who one was outside, and nobody else."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def become_nobody() -> None:
    """Give root up for good, if one was root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl(DUMPABLE, 1)  # else /proc/self belongs to root, and the maps of a user namespace cannot be written


def drop_capabilities() -> None:
    """No capability is left in any set, and none can come back."""
    for capability in range(64):
        if LIBC.prctl(BOUND_DROP, ctypes.c_ulong(capability), 0, 0, 0):
            break
    prctl(NO_NEW_PRIVILEGES, 1)
    check(LIBC.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)), "capset")


def limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, or the nearest one that the present hard limit allows."""
    _, most = resource.getrlimit(kind)
    most = resource.RLIM_INFINITY if most < 0 else most

    def lower(value: int) -> int:
        return value if most == resource.RLIM_INFINITY else min(value, most)

    resource.setrlimit(
        kind, (lower(soft), lower(soft) if hard is None else most if hard < 0 else lower(hard))
    )

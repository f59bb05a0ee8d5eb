"""Landlock: what a process and its children may read, write and connect to, without any namespace."""

from __future__ import annotations

import ctypes
import os
import struct

from curate.sandbox.kernel import LIBC, check, prctl
from curate.sandbox.root import DEVICES, libraries

CREATE, ADD, RESTRICT = 444, 445, 446
READ = 1 << 2 | 1 << 3  # files, folders
ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP, SCOPES = 3, 3  # bind and connect; abstract sockets and signals


def abi() -> int:
    """The kernel's version of Landlock; raises OSError where there is none."""
    return check(LIBC.syscall(ctypes.c_long(CREATE), None, ctypes.c_size_t(0), 1), "landlock")


def restrict() -> None:
    """From now on the standard library and the devices may be read; nothing may be written or connected."""
    version = abi()
    files = ALL_FILES.get(version, ALL_FILES[5])
    attributes = struct.pack("=QQQ", files, TCP if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = check(
        LIBC.syscall(ctypes.c_long(CREATE), attributes, ctypes.c_size_t(size), 0), "landlock_create_ruleset"
    )
    for path in (*libraries(), *(f"/dev/{name}" for name in DEVICES)):
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # not for the user we now are: then it cannot be read, rule or no rule
            continue
        device = path.startswith("/dev/")
        rule = struct.pack("=Qi", (1 << 1 | 1 << 2) if device else READ, place)
        check(LIBC.syscall(ctypes.c_long(ADD), ruleset, 1, rule, 0), f"landlock_add_rule {path}")
        os.close(place)
    prctl(38, 1)
    check(LIBC.syscall(ctypes.c_long(RESTRICT), ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)

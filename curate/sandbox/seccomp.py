"""The system calls that a program in the sandbox may not make: some kill it, some answer "not permitted".

Namespaces already make them useless; the filter keeps a hole in the kernel behind one of them out of reach.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from curate.sandbox.kernel import LIBC, SECCOMP, check

# (x86_64, aarch64); None where the machine has no such call
KILLED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "iopl": (172, None),
    "ioperm": (173, None), "open_by_handle_at": (304, 265), "pidfd_getfd": (438, 438),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
}  # fmt: skip
REFUSED = {
    "execve": (59, 221), "execveat": (322, 281),  # there is nothing to execute
    "memfd_create": (319, 279), "memfd_secret": (447, 447),  # memory that no limit of a process counts
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "personality": (135, 92), "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "kcmp": (312, 272), "syslog": (103, 116),
    "name_to_handle_at": (303, 264), "fanotify_init": (300, 262), "vhangup": (153, 58),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "setuid": (105, 146), "setgid": (106, 144),
    "setresuid": (117, 147), "setresgid": (119, 149), "setreuid": (113, 145), "setregid": (114, 143),
    "setgroups": (116, 159), "pidfd_send_signal": (424, 424), "modify_ldt": (154, None),
    "quotactl_fd": (443, 443),
}  # fmt: skip
CLONE, CLONE3, SOCKET, SOCKETPAIR = (56, 220), (435, 435), (41, 198), (53, 199)
PRCTL, PARENT_DEATH_SIGNAL = (157, 167), 1  # a program that undid it would outlive a keeper that is killed
REFUSED_ALONE = {  # what else reaches a stranger of the same user
    "tkill": (200, 130), "setpriority": (141, 140), "sched_setaffinity": (203, 122), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
SIGNALS = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
PRLIMIT, FCNTL, IOCTL = (302, 261), (72, 25), (16, 29)
SET_OWNER = (8, 15), (0x8901, 0x8902)  # by fcntl, by ioctl: the kernel signals whom they name
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NOT_PERMITTED, NOT_THERE = ERRNO | 1, ERRNO | 38
LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENT = 0, 4, 16  # offsets into struct seccomp_data
NEW_NAMESPACE_BITS = 0x7E020080  # CLONE_NEW* of clone(2), CLONE_NEWTIME among them
UNIX = 1

Line = tuple[int, int, int, int]


def install(alone: bool) -> None:
    """Filter this process and all it will start. `alone`: it shares its PID namespace with strangers, so it
    may send signals to itself only."""
    lines = list(_lines(os.uname().machine, os.getpid() if alone else None))
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=HxxxxxxQ", len(lines), ctypes.addressof(buffer))
    check(LIBC.prctl(SECCOMP, ctypes.c_ulong(2), program, 0, 0), "seccomp")


def _lines(machine: str, pid: int | None) -> Iterator[Line]:
    """The filter, as the kernel's (code, jump if true, jump if false, value)."""
    at = list(ARCHITECTURE).index(machine)
    yield (LOAD, 0, 0, ARCH)
    yield (EQUAL, 1, 0, ARCHITECTURE[machine])
    yield (ANSWER, 0, 0, KILL_PROCESS)
    yield (LOAD, 0, 0, NUMBER)
    if machine == "x86_64":  # the x32 numbers
        yield from _if((AT_LEAST, 0, 0, 0x40000000), KILL_PROCESS)
    for calls, answer in ((KILLED, KILL_PROCESS), (REFUSED, NOT_PERMITTED)):
        for numbers in calls.values():
            if numbers[at] is not None:
                yield from _if((EQUAL, 0, 0, numbers[at]), answer)  # type: ignore[arg-type]
    yield from _if(
        (EQUAL, 0, 0, CLONE3[at]), NOT_THERE
    )  # its flags are behind a pointer; libc asks clone then
    yield from _unless(CLONE[at], [(ANY_BIT, 1, 0, NEW_NAMESPACE_BITS)], KILL_PROCESS)
    for socket in (SOCKET, SOCKETPAIR):
        yield from _unless(socket[at], [(EQUAL, 0, 1, UNIX)], NOT_PERMITTED)
    yield from _where(PRCTL[at], 0, (PARENT_DEATH_SIGNAL,), NOT_PERMITTED)
    if pid is not None:
        yield from _alone(at, pid)
    yield (ANSWER, 0, 0, ALLOW)


def _alone(at: int, pid: int) -> Iterator[Line]:
    """Nothing that reaches another process."""
    for numbers in REFUSED_ALONE.values():
        yield from _if((EQUAL, 0, 0, numbers[at]), NOT_PERMITTED)
    for numbers in SIGNALS.values():
        yield from _unless(numbers[at], [(EQUAL, 0, 1, pid)], NOT_PERMITTED)
    yield from _unless(PRLIMIT[at], [(EQUAL, 0, 1, 0)], NOT_PERMITTED)
    for call, commands in zip((FCNTL, IOCTL), SET_OWNER, strict=True):
        yield from _where(call[at], 1, commands, NOT_PERMITTED)


def _if(test: Line, answer: int) -> Iterator[Line]:
    yield (test[0], 0, 1, test[3])
    yield (ANSWER, 0, 0, answer)


def _where(number: int, argument: int, values: tuple[int, ...], answer: int) -> Iterator[Line]:
    """Call `number` gets `answer` where that argument is one of `values`."""
    yield (EQUAL, 0, 2 + 2 * len(values), number)
    yield (LOAD, 0, 0, ARGUMENT + 8 * argument)
    for value in values:
        yield from _if((EQUAL, 0, 0, value), answer)
    yield (LOAD, 0, 0, NUMBER)


def _unless(number: int, test: list[Line], answer: int) -> Iterator[Line]:
    """Call `number` gets `answer` unless its first argument passes the test (whose true jump skips it)."""
    code, true, false, value = test[0]
    yield (EQUAL, 0, 4, number)
    yield (LOAD, 0, 0, ARGUMENT)
    yield (code, true, false, value)
    yield (ANSWER, 0, 0, ALLOW)
    yield (ANSWER, 0, 0, answer)

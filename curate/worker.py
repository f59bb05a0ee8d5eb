"""One worker process: reads steps and rows from a pipe, answers each row by itself, and dies with its parent.

process.py starts it as `python -c`; nothing here is for users. A frame is a tag, a length and
that many bytes. Frames in: STEP (key, pickled step) and WORK (key, memory limit, pickled rows). Frames out:
READY once; for each row VALUE, MEMORY or BUG; and IMPORT whenever a row makes Python look for a module, so
that the first use of a heavy library is not taken for a row that hangs.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from typing import Any, BinaryIO

import cloudpickle

HEAD = struct.Struct("<BQ")
READY, STEP, WORK, VALUE, MEMORY, BUG, IMPORT = range(7)
_ONE_AT_A_TIME = threading.Lock()  # what cloudpickle takes by value is one list for all threads
KNOWN_STEPS = 16  # both ends forget all steps when one more than this comes


def frame(tag: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(tag, len(payload)) + payload


def dumps(value: Any) -> bytes:
    """Pickled by reference where that works, by value for what only a notebook's `__main__` has."""
    try:
        return pickle.dumps(value, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        return cloudpickle.dumps(value)


def portable(thing: Any) -> bytes:
    """Pickled; by value what a worker could not import: what a recipe that was read by path defines."""
    with _ONE_AT_A_TIME:
        homeless = [m for name, m in list(sys.modules.items()) if "." not in name and _homeless(name, m)]
        for module in homeless:
            cloudpickle.register_pickle_by_value(module)
        try:
            return cloudpickle.dumps(thing)
        finally:
            for module in homeless:
                cloudpickle.unregister_pickle_by_value(module)


def _homeless(name: str, module: Any) -> bool:
    known = getattr(module, "__dict__", {})
    file = known.get("__file__")
    if not file or name == "__main__" or "__path__" in known or os.path.dirname(file) in sys.path:
        return False
    return not any(finder.find_spec(name, None) for finder in sys.meta_path)


def main() -> None:
    """Serve until the parent closes the pipe."""
    parent, python_path = int(sys.argv[1]), sys.argv[2]
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    os.environ.pop("PYTHONPATH")  # it held the parent's sys.path; what a row starts must not inherit that
    if python_path:
        os.environ["PYTHONPATH"] = python_path
    inp, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # a print in a row must not reach the pipe
    out.write(frame(READY))
    out.flush()
    sys.meta_path.insert(0, _ImportNotice(out))
    serve(inp, out)


def serve(inp: BinaryIO, out: BinaryIO) -> None:
    steps: dict[bytes, Any] = {}
    while len(head := inp.read(HEAD.size)) == HEAD.size:
        tag, length = HEAD.unpack(head)
        payload = pickle.loads(inp.read(length))
        if tag == STEP:
            if len(steps) >= KNOWN_STEPS:
                steps.clear()
            steps[payload[0]] = payload[1]
            continue
        key, memory_mb, rows = payload
        for at, row in enumerate(rows):
            limit = None if at else memory_mb
            tag, answer = _answer(steps, key, row, limit)
            out.write(frame(tag, answer))
            out.flush()
            if tag == MEMORY:
                os._exit(0)  # the heap may be full of what the row left: the next row gets a clean one


def _answer(steps: dict[bytes, Any], key: bytes, row: bytes, memory_mb: int | None) -> tuple[int, bytes]:
    """The frame that answers one row; the first row of a chunk brings the memory limit along."""
    try:
        if isinstance(steps[key], bytes):
            steps[key] = pickle.loads(steps[key])
        if memory_mb is not None:
            _limit_memory(memory_mb)
        return VALUE, dumps(steps[key].row(pickle.loads(row)))
    except MemoryError:
        return MEMORY, b""
    except BaseException as e:  # noqa: BLE001 - the boundary: whatever a row raises is the parent's to report
        return BUG, pickle.dumps((type(e).__name__, str(e), traceback.format_exc()))


def _limit_memory(memory_mb: int) -> None:
    """Allow `memory_mb` of address space beyond what is mapped now; no limit where /proc is missing."""
    import resource

    try:
        with open("/proc/self/statm") as f:
            mapped = int(f.read().split()[0]) * resource.getpagesize()
    except FileNotFoundError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + (memory_mb << 20)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent is gone, even in the middle of a row."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before we could ask
        os._exit(1)


class _ImportNotice:
    """First on sys.meta_path: tells the parent that a module is looked for, and finds none."""

    def __init__(self, out: BinaryIO) -> None:
        self.out, self.pid = out, os.getpid()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if os.getpid() == self.pid:  # a forked child has the pipe too
            self.out.write(frame(IMPORT))
            self.out.flush()

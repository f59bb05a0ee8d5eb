"""What a program printed, read while it runs and never past a limit."""

from __future__ import annotations

import os
import select
import time
from typing import NamedTuple

from curate.sandbox.outcome import ended, raised
from curate.sandbox.server import Run, SandboxDown

TAIL = 8192  # bytes of stderr that are kept: its last line says what went wrong


class Said(NamedTuple):
    """`word` is "equal" where the program ended well; what it printed is still to be compared."""

    word: str
    note: str
    text: str


def collect(run: Run, deadline: float, most: int) -> Said:
    """Read until the program has ended, the deadline is past, or it has printed more than `most` bytes."""
    assert run.out is not None and run.err is not None
    out, err, errors = bytearray(), bytearray(), 0
    poll = select.poll()
    poll.register(run.out, select.POLLIN)
    poll.register(run.err, select.POLLIN)
    left = 2
    while left:
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready or time.monotonic() > deadline:
            return Said("timeout", "", "")
        for fd, _ in ready:
            try:
                data = os.read(fd, 1 << 18)
            except BlockingIOError:  # the program took back what it had written
                continue
            if not data:
                poll.unregister(fd)
                left -= 1
            elif fd == run.out:
                out += data
            else:
                errors += len(data)
                err = (err + data)[-TAIL:]
        if len(out) > most or errors > most:
            return Said("output_limit", "", "")
    how = run.wait(deadline)
    if how is None:
        return Said("timeout", "", "")
    first = _first_word(run)
    if first.startswith("syntax"):
        return Said("syntax_error", first[7:160], "")
    if how.get("code") == 0 and not how["killed"]:
        if not first:
            raise SandboxDown("the program did not start")
        return Said("equal", "", out.decode("utf-8", "replace"))
    lines = err.decode("utf-8", "replace").strip().splitlines()
    found = raised(lines[-1]) if how.get("code") == 1 and lines else ended(how)
    return Said(found.word, found.note, "")


def _first_word(run: Run) -> str:
    run.line.setblocking(False)
    try:
        return run.line.recv(4096).decode("utf-8", "replace")
    except BlockingIOError:
        return ""

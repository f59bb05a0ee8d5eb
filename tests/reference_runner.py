"""The plain way to test a program: execute it and its tests in one process. It believes what it is told.

Reads JSON lines of {"program": text} from stdin and writes "1" or "0" a line: whether it ran to its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys

LIMIT_S = 5


def runs(program: str) -> bool:
    """Whether the text executes without an exception, in a forked process."""
    if not (pid := os.fork()):
        code = 1
        try:
            signal.alarm(LIMIT_S)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            exec(program, {"__name__": "solution"})
            code = 0
        except BaseException:  # noqa: BLE001 - whatever a program raises, it failed
            pass
        os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


if __name__ == "__main__":
    for line in sys.stdin.readlines():
        print(int(runs(json.loads(line)["program"])))

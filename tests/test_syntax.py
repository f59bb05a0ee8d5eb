"""Python sources are parsed by one thread at a time, wherever a run reads one."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A garbage collection inside the parser gives other threads their turn, as any finaliser that waits may.
PROGRAM = """
import gc, sys, threading, time
from curate.step import Step
from curate.syntax import parse, source_of

text = "\\n".join(f"def f{i}(x): return [x * {i} + (x - {i}) for x in range({i})]" for i in range(60))
gc.callbacks.append(lambda phase, facts: time.sleep(0.0005))
gc.set_threshold(50)
raised = []

def work():
    for _ in range(4):
        try:
            CALL
        except SystemError as error:
            raised.append(error)

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(repr(raised) if raised else 0)
"""


@pytest.mark.parametrize("call", ["parse(text)", "source_of(Step)"])
def test_threads_that_read_python_at_once_all_can(call: str) -> None:
    program = PROGRAM.replace("CALL", call)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

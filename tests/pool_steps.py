"""Row steps for test_pool.py that misbehave on purpose; worker processes import them from here."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from curate.schema import Row
from curate.step import Score


@dataclass(frozen=True)
class Length(Score):
    """How long the question is."""

    timeout_s: float = 30.0
    reads = ("question",)

    def row(self, row: Row) -> Any:
        return {"n": len(row["question"])}


@dataclass(frozen=True)
class Act(Score):
    """Does what the question says."""

    timeout_s: float = 1.0
    memory_mb: int = 256
    reads = ("question",)

    def row(self, row: Row) -> Any:
        verb, _, rest = row["question"].partition(" ")
        return getattr(self, verb)(rest)

    def say(self, text: str) -> str:
        return text

    def power(self, text: str) -> int:
        base = 9 + len(text)
        return base**base**base**base  # one C call that holds the GIL

    def loop(self, text: str) -> None:
        while True:
            pass

    def hog(self, text: str) -> int:
        return len(bytearray(int(text) << 20))

    def exit(self, text: str) -> None:
        os._exit(int(text))

    def killed(self, text: str) -> str:
        """Killed from outside, as it seems, so many times; then it answers."""
        path, _, times = text.rpartition(" ")
        with open(path, "a+") as f:
            f.seek(0)
            if len(f.read()) < int(times):
                f.write("x")
                f.flush()
                os.kill(os.getpid(), 9)
        return "alive"

    def segfault(self, text: str) -> None:
        ctypes.string_at(0)

    def bug(self, text: str) -> float:
        return 1 / 0

    def leave(self, text: str) -> None:
        sys.exit(text)

    def shout(self, text: str) -> str:
        print(text)
        os.write(1, b"\xff" * 100)
        subprocess.run(["echo", text], check=True)
        return text

    def stdin(self, text: str) -> str:
        return sys.stdin.read()

    def pid(self, text: str) -> int:
        return os.getpid()

    def child(self, text: str) -> None:
        with open(text, "w") as f:
            f.write(str(subprocess.Popen(["sleep", "600"]).pid))
        time.sleep(600)

    def slow_import(self, text: str) -> str:
        """Three modules that take 0.6 s each: longer than the limit together, not alone."""
        sys.path.insert(0, text)
        import slow_a  # noqa: F401

        return "imported"

    def mark(self, text: str) -> str:
        """Leave a line in a file: counts how often a row is worked on."""
        path, _, word = text.rpartition(" ")
        with open(path, "a") as f:
            f.write(word + "\n")
        return word


@dataclass(frozen=True)
class Reads(Score):
    """What of the row arrives."""

    reads = ("answer",)

    def row(self, row: Row) -> Any:
        return dict(row)


@dataclass(frozen=True)
class Many(Score):
    """Answers an array, whose comparison is no truth."""

    reads = ("question",)

    def row(self, row: Row) -> Any:
        import numpy

        return numpy.zeros(3)

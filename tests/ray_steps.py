"""What tests run on a cluster: an engine and steps that write down who did what, a line each."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from curate.engines.scripted import Scripted
from curate.errors import CallFailed, EngineDown
from curate.schema import Row
from curate.step import Completion, Engine, Message, Rewriter, Score, Text, user


def say(messages: list[Message], seed: int) -> str:
    """Words that hang on the question and the seed; a twelfth of the answers are wrong."""
    rng = random.Random(f"{messages[-1]['content']} {seed}")
    return f"<think>hm {rng.random():.6f}</think>so \\boxed{{{rng.choice([4] * 11 + [5])}}}"


@dataclass(frozen=True)
class Shop(Scripted):
    """Takes a moment for each answer, and writes into `till` which process sold it."""

    script: Any = field(default=say, kw_only=True)
    till: str = field(default="", kw_only=True)
    opens: str = field(default="", kw_only=True)  # a file with a point for each time that it was opened
    dies: int = field(default=0, kw_only=True)  # so often it dies of that
    concurrency: int = field(default=4, kw_only=True)

    async def __aenter__(self) -> Shop:
        if self.till == "closed":
            raise EngineDown("the shop is closed today")
        if self.opens:
            with open(self.opens, "a+b", buffering=0) as f:
                f.write(b".")
                if f.tell() <= self.dies:
                    os._exit(3)
        await super().__aenter__()
        return self

    async def chat(self, messages: Sequence[Message], **options: Any) -> list[Completion]:
        if "refuse" in messages[-1]["content"]:
            raise CallFailed("we do not sell that")
        if "die" in messages[-1]["content"]:
            os._exit(3)
        time.sleep(0.003)
        replies = await super().chat(messages, **options)
        write(self.till, f"{messages[-1]['content']!r} {options.get('seed')}")
        return replies


@dataclass(frozen=True)
class Talk(Rewriter):
    """Three calls for one row: each asks about the answer before it."""

    engine: Engine
    reads = ("question", "response")

    async def ask(self, row: Row) -> Text:
        said = row["response"]
        for turn in range(3):
            [reply] = await self.engine.chat(user(f"{turn} {said}"))
            said = reply.response
        return Text(None, said)


@dataclass(frozen=True)
class Measure(Score):
    """How long the response is, after a moment; and who measured it."""

    not_identity = ("ledger",)
    ledger: str = ""
    reads = ("trace_id", "response")

    @property
    def writes(self) -> dict[str, Any]:
        import polars as pl

        return {"measure": pl.Int64}

    def row(self, row: Row) -> Any:
        if row["response"] == "bug":
            raise ZeroDivisionError("nobody divides by that")
        time.sleep(0.002)
        write(self.ledger, row["trace_id"], of=os.getppid())
        return {"measure": len(row["response"])}


def write(path: str, what: str, of: int | None = None) -> None:
    """A line `process what`, whole however many write."""
    if path:
        with open(path, "a", buffering=1) as f:
            f.write(f"{of or os.getpid()} {what}\n")


def lines(path: str | Path) -> list[tuple[int, str]]:
    """What was written so far."""
    text = Path(path).read_text() if Path(path).exists() else ""
    found = (line.split(" ", 1) for line in text.splitlines())
    return [(int(pid), what) for pid, what in found]


def killing(path: Path, at: list[int]) -> threading.Thread:
    """Kill -9 whoever wrote the newest line, whenever so many lines are there."""

    def work() -> None:
        killed: set[int] = set()
        for wanted in at:
            while len(found := lines(path)) < wanted or found[-1][0] in killed:
                time.sleep(0.005)
            killed.add(found[-1][0])
            os.kill(found[-1][0], signal.SIGKILL)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def marked(ledger: Path, values: Any) -> Any:
    """The values, after a moment; and who looked at them."""
    time.sleep(0.05)
    write(str(ledger), str(values[0]))
    return values


@dataclass(frozen=True)
class Sleeps(Score):
    """Takes longer than anybody waits, and leaves a file when it begins, and one when it is done."""

    reads = ("response",)
    writes: ClassVar[dict[str, Any]] = {"slept": pl.Boolean}

    def row(self, row: Row) -> dict[str, bool]:
        folder = Path(row["response"])
        (folder / "begun").touch()
        time.sleep(20)
        (folder / "done").touch()
        return {"slept": True}

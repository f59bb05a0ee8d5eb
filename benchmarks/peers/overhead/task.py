"""What benchmarks/overhead.py gives to everybody: rows, the answer to each, a model that is only late.

Standard library alone, so that it imports in the environment of every peer.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

CONCURRENCY = 256


class Task(NamedTuple):
    """What one process is told: how many rows, how late the model is, and a folder of its own."""

    rows: int
    delay_s: float
    folder: Path


def question(number: int) -> str:
    return f"Question {number}: a train leaves at {number % 24} o'clock for {number} km; when is it there?"


def reply(asked: str) -> str:
    """About fifty words that depend on the question."""
    return (
        f"To answer '{asked}' "
        + "we divide the way by the speed and add the start. " * 4
        + f"So: {len(asked)}."
    )


async def late(delay_s: float) -> None:
    """The model: nothing but the time it takes."""
    if delay_s:
        await asyncio.sleep(delay_s)


def digest(pairs: Iterable[tuple[str, str]]) -> str:
    """The same for the same questions and answers, in whatever order."""
    total = 0
    for asked, answered in pairs:
        total ^= int.from_bytes(hashlib.sha256(f"{asked}\n{answered}".encode()).digest()[:16], "big")
    return f"{total:032x}"


def run(work: Callable[[Task], Callable[[], Iterable[tuple[str, str]]]]) -> None:
    """Time `work(task)`, which answers a function that reads the results back; print one line of JSON."""
    options = argparse.ArgumentParser()
    options.add_argument("rows", type=int)
    options.add_argument("delay_s", type=float)
    options.add_argument("folder", type=Path)
    task = Task(**vars(options.parse_args()))
    began = time.perf_counter()
    results = work(task)
    seconds = time.perf_counter() - began
    print("DONE" + json.dumps({"seconds": seconds}), flush=True)  # the sampling of memory ends here
    pairs = list(results())
    print("SAID" + json.dumps({"rows": len(pairs), "digest": digest(pairs)}), flush=True)

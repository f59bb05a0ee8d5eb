"""A little of everything: sample, verify, rewrite with many calls, verify again, select over the whole table.

What `kill_drills.py` kills and `soak.py` repeats; the server is `tests/small_server.py`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import curate
from curate.engines.ray import Ray
from curate.engines.server import Server
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.shortest_k import ShortestK
from curate.schema import Row
from curate.step import Engine, Rewriter, Text, Verdict, Verifier, user

PROBLEMS, SAMPLES, KEPT, TURNS, CONCURRENCY = 40, 3, 2, 4, 8


@dataclass(frozen=True)
class Lucky(Verifier):
    """Three responses of four pass, after a moment of thought."""

    pause_s: float = 0.01
    not_identity = ("pause_s",)
    reads = ("response",)

    def row(self, row: Row) -> Verdict:
        time.sleep(self.pause_s)
        return Verdict(int(row["response"][-1], 16) % 4 > 0, "different")


@dataclass(frozen=True)
class Talk(Rewriter):
    """Many calls for one row: each asks about the answer before it."""

    engine: Engine
    turns: int = TURNS
    reads = ("question", "response")

    async def ask(self, row: Row) -> Text:
        said = row["response"]
        for turn in range(self.turns):
            [reply] = await self.engine.chat(user(f"{turn} {said}"))
            said = reply.response
        return Text(None, said)


def write_problems(path: Path, rows: int, first: int = 0) -> None:
    """So many problems, numbered from `first`."""
    numbers = range(first, first + rows)
    path.write_text("\n".join(json.dumps({"question": f"question {i}", "answer": str(i)}) for i in numbers))


def recipe(
    url: str, problems: str, *, pause_s: float = 0.01, request_timeout_s: float = 60.0, replicas: int = 0
) -> curate.Pipeline:
    """URL's model samples every problem and talks about what passes; a server may be away for some seconds.

    replicas: the server is asked by so many clients on a Ray cluster, which share the calls in flight.
    """
    shop: Engine = Server(
        "m",
        url=url,
        concurrency=CONCURRENCY // max(replicas, 1),
        request_timeout_s=request_timeout_s,
        retries=9,
        backoff_s=0.05,
        longest_wait_s=2.0,
    )
    if replicas:
        shop = Ray(shop, replicas)
    lucky, failed = Lucky(pause_s), Failed("lucky")
    steps = [curate.Sample(shop, n=SAMPLES), lucky, failed, Talk(shop), lucky, failed]
    return curate.Pipeline(curate.read(problems), [*steps, ShortestK(k=KEPT), ExactDuplicates()])

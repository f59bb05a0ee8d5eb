"""Where an engine waits over a whole pipeline: in the tails of steps, or while the CPU works."""

from __future__ import annotations

import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.busy import Card, Gauge, Simulated
from peers.report import table

import curate
from curate.filters.failed import Failed
from curate.schema import Row
from curate.step import Engine, Rewriter, Text, user
from curate.verifiers.math_equal import MathEqual

CALLS = 6


@dataclass(frozen=True)
class Rethink(Rewriter):
    """Six calls of so many tokens for each row, one after the other, as methods that mend thoughts do."""

    engine: Engine
    tokens: int
    reads = ("question", "thinking", "response")

    async def ask(self, row: Row) -> Text:
        thinking = row["thinking"] or ""
        for i in range(CALLS):
            begun = "<think>\n" + thinking[: i * len(thinking) // CALLS]
            await self.engine.chat(user(row["question"]), prefix=begun, max_tokens=self.tokens)
        return Text(thinking, row["response"])


def said(messages: list[dict[str, str]], seed: int, prefix: str) -> tuple[str, int]:
    """A trace of log-normal length that is right three times of five; after a prefix 96 tokens."""
    if prefix:
        return "so " * 96, 96
    rng = random.Random(seed)
    tokens = min(2048, max(8, int(rng.lognormvariate(5.99, 0.7))))
    number = int(messages[-1]["content"].split()[-1]) % 97
    right = number if rng.random() < 0.6 else number + 1
    thinking = "and so on " * (tokens // 3)
    return f"<think>\n{thinking}\n</think>\n\nBy way {seed}: \\boxed{{{right}}}", tokens


def whole(engine: Any, source: Any, n: int, half: int, tokens: int) -> dict[str, Any]:
    """Where an engine waits over a whole pipeline."""
    right = [MathEqual(), Failed("math_equal")]
    steps = [curate.Sample(engine, n=n), *right, Rethink(engine, tokens), *right]
    gauge = engine.card.gauge if isinstance(engine, Simulated) else engine.gauge
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run = curate.Pipeline(source, steps).run(Path(folder) / "run")
        wall = time.perf_counter() - begin
        born = run.funnel().table["born"].sum()
        spent = run.ledger["output_tokens"].sum()
    return {"rows": born, "tokens": spent, "wall": wall, **gauge.shares(half)}


def simulated(traces: int, n: int = 4) -> dict[str, Any]:
    """The same on an engine that takes a GPU's time; `said` is what it says."""
    card = Card(Gauge())
    engine = Simulated(say=said, card=card)
    rows = [{"question": f"What is {i}", "answer": str(i % 97)} for i in range(traces // n)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return whole(engine, curate.read(path), n, card.slots // 2, tokens=96)


def lost(found: dict[str, Any]) -> dict[str, float]:
    """Shares of the whole time: less than half full; of that the run's own tail; and all but that.

    The own tail begins when too few rows are left of any step. The rest is what the borders between steps
    cost.
    """
    span = sum(found[k] for k in ("half", "tail", "idle", "loading"))
    last, less = found["last"] / span, 1 - found["half"] / span
    return {"less": less, "last": last, "borders": less - last}


def print_shares(found: dict[str, dict[str, Any]]) -> None:
    head = ["", "rows born", "tokens", "s", "half full or more, %", "less: tails, %", "empty, %",
            "loading, %", "the run's own tail, %", "borders between steps, %"]  # fmt: skip
    lines = []
    for name, f in found.items():
        span = sum(f[k] for k in ("half", "tail", "idle", "loading"))
        shares = [100 * f[k] / span for k in ("half", "tail", "idle", "loading")]
        more = [100 * lost(f)[k] for k in ("last", "borders")]
        lines.append([name, f["rows"], f["tokens"], f["wall"], *shares, *more])
    print(table(head, lines), flush=True)

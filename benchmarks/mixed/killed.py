"""What killing a run has cost: how a finished run differs from one left alone, and what was bought twice."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from mixed.recipe import CONCURRENCY, PROBLEMS, SAMPLES

KINDS = {"driver": 0.3, "worker": 0.25, "server": 0.25, "replica": 0.2}
REPLICAS = 2
# With the driver die as many calls on their way to the disk as with the server.
IN_FLIGHT = {
    "driver": 2 * CONCURRENCY,
    "worker": 0,
    "server": CONCURRENCY,
    "replica": CONCURRENCY // REPLICAS,
}
TABLES = ("live.parquet", "dropped.parquet")


@dataclass
class Kill:
    """One kill: what, how much the server's log held, and when the run worked again (null: not seen)."""

    kind: str
    logged: int
    at: float
    settled: int = 0  # what the log held when all that was killed was dead
    resumed_s: float | None = None
    before: frozenset[int] = frozenset()  # the workers, or the replicas, that were there
    twice: int = 0

    def __post_init__(self) -> None:
        self.settled = max(self.settled, self.logged)


@dataclass
class Found:
    """What the finished runs differed in from the one that nobody touched."""

    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    other_bytes: int = 0
    twice_without_a_kill: int = 0
    calls: int = 0
    never_asked_before: int = 0
    ledger_wrong: int = 0
    stopped: int = 0  # times that a run stopped for one of STOPS, and was started again
    left_out: str = ""  # why no replicas were killed


def compare(quiet: Path, out: Path, found: Found) -> None:
    """Add to `found` in what this finished run differs from the quiet one."""
    found.runs += 1
    for name in TABLES:
        if (quiet / name).read_bytes() == (out / name).read_bytes():
            continue
        found.other_bytes += 1
        a, b = (Counter(pl.read_parquet(f / name)["trace_id"]) for f in (quiet, out))
        found.lost += (a - b).total()
        found.doubled += (b - a).total()
    a, b = (pl.read_parquet(f / "ledger.parquet")["calls"].sum() for f in (quiet, out))
    found.ledger_wrong += a != b


def bought_twice(log: Path, once: set[str], kills: list[Kill], found: Found) -> None:
    """Lay every sale whose answer was lost to a kill between its question and the next of the same call.

    Where there are several, as many as a kill can have had in flight are laid to it, first those that no
    later kill can have cost; what is over is laid to the last that can.
    """
    asked: dict[str, list[tuple[int, str]]] = {}  # of each call its questions: number of the line, when
    sold = set()
    for number, line in enumerate(log.read_text().splitlines()):
        sign, call, when = line.split()
        if sign == "-":
            sold.add((call, when))
        else:
            asked.setdefault(call, []).append((number, when))
    again: list[list[int]] = []  # of each sale that was lost the kills that can have cost it
    for call, questions in asked.items():
        paid = [i for i, (_, when) in enumerate(questions) if (call, when) in sold]
        for i in paid[:-1]:
            (first, _), (second, _) = questions[i : i + 2]
            again.append([n for n, k in enumerate(kills) if first < k.settled and k.logged <= second])
    sales = {call for call, _ in sold}
    found.twice_without_a_kill += again.count([])
    again = sorted(filter(None, again), key=lambda causes: causes[-1])
    for i, kill in enumerate(kills):
        mine = [causes for causes in again if i in causes]
        laid = [causes for n, causes in enumerate(mine) if n < IN_FLIGHT[kill.kind] or causes[-1] == i]
        kill.twice += len(laid)
        again = [causes for causes in again if not any(causes is other for other in laid)]
    found.calls += len(sales)
    found.never_asked_before += len(sales ^ once)


def table(found: Found) -> str:
    """What was killed, how often, what it cost, and how soon the run worked again."""
    columns = f"{'bought twice':>12s} {'at most':>8s} {'by one kill':>12s} {'at most':>8s}"
    out = [f"{'killed':8s} {'times':>5s} {columns}   works again after"]
    for kind in KINDS if not found.left_out else list(KINDS)[:-1]:
        kills = [k for k in found.kills if k.kind == kind]
        seen = [k.resumed_s for k in kills if k.resumed_s is not None]
        again = f"{statistics.median(seen):.2f} s (longest {max(seen):.2f})" if seen else "not seen"
        twice, most = sum(k.twice for k in kills), IN_FLIGHT[kind] * len(kills)
        by_one = f"{max((k.twice for k in kills), default=0):12d} {IN_FLIGHT[kind]:8d}"
        out.append(f"{kind:8s} {len(kills):5d} {twice:12d} {most:8d} {by_one}   {again}")
    out.append(
        f"{found.runs} runs of {PROBLEMS} problems x {SAMPLES} samples, {found.calls:,} calls in all: "
        f"{found.lost} rows lost, {found.doubled} doubled, {found.other_bytes} tables that differ by a byte, "
        f"{found.never_asked_before} calls that the quiet run did not make, {found.twice_without_a_kill} "
        f"bought twice without a kill, {found.ledger_wrong} ledgers that count otherwise; "
        f"{found.stopped} times a run stopped with a sentence, and was started again"
    )
    return "\n".join([*out, found.left_out] if found.left_out else out)


def sound(found: Found) -> bool:
    """Nothing lost, nothing doubled, nothing bought twice beyond the calls in flight at the kill."""
    wrong = found.lost + found.doubled + found.other_bytes + found.twice_without_a_kill
    wrong += found.never_asked_before + found.ledger_wrong
    return not wrong and all(k.twice <= IN_FLIGHT[k.kind] for k in found.kills)

"""A run whose driver, workers, server and replicas are killed a hundred times ends like one left alone.

    python benchmarks/kill_drills.py [--kills 100] [--seed 0]

One run after the other goes over `mixed/recipe.py` (sample over a server, verify, filters over the whole
table, a rewriter of four calls a row), with processes of their own for the run, for the server, and for two
replicas of the engine on a Ray cluster of this machine. At a random moment one of them is killed with signal
9: the driver (started again with the same command, once its replicas have died with it), a worker of the pool
or a replica (the run has to notice), or the server (started again at the same address after half a second at
most). Every finished run is compared with one that nobody touched and that knows of no Ray: tables byte by
rows by id, the ledger's calls. A run whose worker is killed in three starts one after the other, or which
begins a step while the server is down, says so and stops; it is started again, too. The server writes down
every call before it answers it, in a file that outlives it, so that what was bought twice can be counted: of
each kill at most as many calls as may be in flight, of the driver's as many again, which are on their way to
the disk. "Works again" is the time from the kill until the next answer is bought, or the next worker or
replica is there, with the start of the process that was killed. Without Ray the other three are killed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from mixed.processes import Cluster, Shop, below, command_of, machine  # noqa: E402
from mixed.recipe import CONCURRENCY, PROBLEMS, SAMPLES, write_problems  # noqa: E402

from curate.errors import MissingDependency  # noqa: E402

KINDS = {"driver": 0.3, "worker": 0.25, "server": 0.25, "replica": 0.2}
REPLICAS = 2
# With the driver die as many calls on their way to the disk as with the server.
IN_FLIGHT = {
    "driver": 2 * CONCURRENCY,
    "worker": 0,
    "server": CONCURRENCY,
    "replica": CONCURRENCY // REPLICAS,
}
# A worker was killed in three starts one after the other; a step began while the server was down.
STOPS = ("a worker process did not start (signal 9)", "no server answers")
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


class Drill:
    """One run on one folder, killed until the kills are spent or it has ended."""

    def __init__(self, shop: Shop, problems: Path, out: Path, cluster: Cluster | None = None) -> None:
        self.shop, self.problems, self.out, self.cluster = shop, problems, out, cluster
        self.stopped = 0
        self.start()

    def start(self) -> None:
        recipe = str(Path(__file__).parent / "mixed" / "recipe.py")
        command = [sys.executable, "-m", "curate.cli", "run", recipe, "--out", str(self.out)]
        command += ["--url", self.shop.url, "--problems", str(self.problems)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if self.cluster:
            command += ["--replicas", str(REPLICAS)]
            environment["RAY_ADDRESS"] = self.cluster.address
        self.errors = self.out.with_suffix(".stderr")
        with open(self.errors, "wb") as said:
            self.driver = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=ROOT)

    def ended(self) -> bool:
        if self.driver.poll() is None:
            return False
        if not self.driver.returncode:
            return True
        said = self.errors.read_text()
        if not any(words in said for words in STOPS):
            sys.exit(f"the run failed:\n{said[-3000:]}")
        self.stopped += 1
        if self.cluster:
            self.cluster.wait_until_empty()
        self.start()
        return False

    def inside(self, kind: str) -> frozenset[int]:
        """The run's replicas, or else its workers."""
        if kind == "replica":
            return self.cluster.replicas() if self.cluster else frozenset()
        return frozenset(p for p in below(self.driver.pid) if "curate.worker" in command_of(p))

    def kill(self, kind: str, rng: random.Random) -> Kill | None:
        """Kill a process of this kind, and start again what does not by itself. None where there is none."""
        log, before = self.shop.given["log"], self.inside(kind)
        if not before and kind in ("worker", "replica"):
            return None
        kill = Kill(kind, lines(log), time.monotonic(), before=before)
        if kind == "driver":
            self.driver.kill()
            self.driver.wait()
            if self.cluster:
                self.cluster.wait_until_empty()
        elif kind == "server":
            self.shop.kill()
        else:
            os.kill(rng.choice(sorted(before)), signal.SIGKILL)
        kill.settled = lines(log)
        if kind == "driver":
            self.start()
        elif kind == "server":
            time.sleep(rng.random() / 2)
            self.shop.start()
        return kill

    def works_again(self, kill: Kill) -> bool:
        if self.inside(kill.kind) - kill.before:
            return True
        return kill.kind != "replica" and sold(self.shop.given["log"], kill.settled)


def lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def sold(log: Path, since: int) -> bool:
    return any(line.startswith(b"-") for line in log.read_bytes().splitlines()[since:])


def killed(drill: Drill, found: Found, most: int, rng: random.Random) -> None:
    """Kill at random moments until the run has ended, or there have been so many kills in all."""
    last = Kill("start", 0, time.monotonic())
    while not drill.ended():
        in_the_middle = rng.random() < 0.8  # and not while it starts
        pause, strike = rng.uniform(0.0, 1.5), time.monotonic()
        while time.monotonic() < strike + pause and not drill.ended():
            if last.resumed_s is None and drill.works_again(last):
                last.resumed_s = time.monotonic() - last.at
            if last.resumed_s is None and in_the_middle:
                strike = time.monotonic()
            time.sleep(0.005)
        kinds = {kind: share for kind, share in KINDS.items() if drill.cluster or kind != "replica"}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        while not drill.ended() and len(found.kills) < most:
            if kill := drill.kill(kind, rng):
                found.kills.append(kill)
                last = kill
                break
            time.sleep(0.005)


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
    """Lay every call that was sold again to the last kill that came between its two questions."""
    asked, sales = {}, Counter[str]()
    for number, line in enumerate(log.read_text().splitlines()):
        sign, sale = line.split()
        if sign == "-":
            sales[sale] += 1
            if sales[sale] > 1:
                causes = [k for k in kills if asked[sale][-2] < k.settled and k.logged <= asked[sale][-1]]
                if causes:
                    causes[-1].twice += 1
                else:
                    found.twice_without_a_kill += 1
        else:
            asked.setdefault(sale, []).append(number)
    found.calls += len(sales)
    found.never_asked_before += len(set(sales) ^ once)


def drills(folder: Path, kills: int, seed: int, cluster: Cluster | None = None) -> Found:
    """Run after run until there have been so many kills; the last one ends in peace."""
    rng, found = random.Random(seed), Found()
    problems = folder / "problems.jsonl"
    write_problems(problems, PROBLEMS)
    quiet = folder / "quiet.log"
    shop = Shop(log=quiet)
    try:
        drill = Drill(shop, problems, folder / "quiet")
        drill.driver.wait()
        assert drill.ended()
        once = {line[2:] for line in quiet.read_text().splitlines()}
        while len(found.kills) < kills:
            shop.kill()
            shop.given["log"], before = folder / f"{found.runs}.log", len(found.kills)
            shop.start()
            drill = Drill(shop, problems, folder / f"run{found.runs}", cluster)
            killed(drill, found, kills, rng)
            found.stopped += drill.stopped
            bought_twice(shop.given["log"], once, found.kills[before:], found)
            compare(folder / "quiet", drill.out, found)
            shutil.rmtree(drill.out)
    finally:
        shop.kill()
    return found


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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given, began = parser.parse_args(), time.monotonic()
    try:
        cluster, without = Cluster(), ""
    except MissingDependency as e:
        cluster, without = None, f"no replicas were killed: {e}"
    with tempfile.TemporaryDirectory() as folder:
        found = drills(Path(folder), given.kills, given.seed, cluster)
    found.left_out = without
    if cluster:
        cluster.close()
    print(table(found))
    print(f"{machine()}; seed {given.seed}; in all {time.monotonic() - began:.0f} s")
    sys.exit(not sound(found))


if __name__ == "__main__":
    main()

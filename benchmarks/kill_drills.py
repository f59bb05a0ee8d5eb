"""A run whose driver, workers, server and replicas are killed a hundred times ends like one left alone.

    python benchmarks/kill_drills.py [--kills 100] [--seed 0]

One run after the other goes over `mixed/recipe.py` (sample over a server, verify, a rewriter of four calls a
row, filters over the whole table), with processes of their own for the run, for the server, and for two
replicas of the engine on a Ray cluster of this machine. At a random moment one of them is killed with signal
9: the driver (started again with the same command, once its replicas have died with it), a worker of the pool
or a replica (the run has to notice), or the server (started again at the same address after half a second at
most). Every finished run is compared with one that nobody touched and that knows of no Ray: tables byte by
rows by id, the ledger's calls. A run whose worker is killed in three starts one after the other, or which
begins a step while the server is down, says so and stops; it is started again, too, and so is one that set a
row aside because one replica after the other died over its call. The server writes down
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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from mixed.killed import KINDS, REPLICAS, Found, Kill, bought_twice, compare, sound, table  # noqa: E402
from mixed.processes import Cluster, Shop, below, command_of  # noqa: E402
from mixed.recipe import PROBLEMS, write_problems  # noqa: E402
from peers.machine import facts  # noqa: E402

from curate.errors import MissingDependency  # noqa: E402

ASK_AGAIN = "replicas died over this call"  # a row is set aside with that, and asked again by the next run
SLOW = {"slow": 0.01, "slow_s": 3.0}  # so long take some calls, so that rows go ahead of others
# A worker was killed in three starts one after the other; a step began while the server was down.
STOPS = ("a worker process did not start (signal 9)", "no server answers")


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
        said = self.errors.read_text()
        if not self.driver.returncode and ASK_AGAIN not in said:
            return True
        if not any(words in said for words in (*STOPS, ASK_AGAIN)):
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


def drills(folder: Path, kills: int, seed: int, cluster: Cluster | None = None) -> Found:
    """Run after run until there have been so many kills; the last one ends in peace."""
    rng, found = random.Random(seed), Found()
    problems = folder / "problems.jsonl"
    write_problems(problems, PROBLEMS)
    quiet = folder / "quiet.log"
    shop = Shop(log=quiet, **SLOW)
    try:
        drill = Drill(shop, problems, folder / "quiet")
        drill.driver.wait()
        assert drill.ended()
        once = {line.split()[1] for line in quiet.read_text().splitlines()}
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given, began = parser.parse_args(), time.monotonic()
    print(f"{facts()}; seed {given.seed}\n", flush=True)
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
    print(f"in all {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f} at the end")
    sys.exit(not sound(found))


if __name__ == "__main__":
    main()

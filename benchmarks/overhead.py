"""What a row costs beside the model: 100,000 questions to a model that answers at once, or after 5 ms.

    python benchmarks/overhead.py [--rows N] [--rounds N] [--seconds S] [--only NAME …]

Everybody gets the same rows and the same model, 256 at a time, and must hand back the same answers (compared
by a hash of all pairs). The model is put in as each project's documentation puts in one's own: an engine, an
`AsyncLLM`, a rollout function, a custom column, a class for `map_batches`; Curator takes only a server, so
it gets one on this machine, and pays for HTTP. What a project keeps while it works is left as it comes:
curate has every single answer on disk before it is used, distilabel caches batches, DataDesigner row groups,
Curator responses; datatrove and Ray Data write results alone, and a killed run begins anew.

Every peer has an environment of its own, `.venv-peers-NAME`, which the first run makes from a lock of exact
versions in peers/overhead. µs and bytes a row are slopes between two sizes, so that starting up is not
counted: 2,000 rows, and as many as fit into --seconds, for us N / 5 and N. Memory is the peak of the resident
memory of the process and all it started. Throughput at 5 ms is that of the larger size, less what 2,000 rows
took at 0 ms beyond their slope (the start). `ideal`: 256 / 5 ms. `bare`: a plain asyncio loop that keeps
nothing. `durable`: such a loop that reads the same file, has every answer synced by sqlite before it counts,
in groups, and writes a parquet. All are medians over --rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil
from peers.environment import ROOT, environment

HERE = ROOT / "benchmarks" / "peers" / "overhead"
OURS = ("curate", "bare", "durable")
PEERS = {  # folder name of the environment → the distribution whose version is printed
    "distilabel": "distilabel",
    "datatrove": "datatrove",
    "data_designer": "data-designer",
    "bespokelabs_curator": "bespokelabs-curator",
    "ray": "ray",
}
FEW, MOST = 2_000, 100_000  # rows of a peer
DELAY_S, LIMIT_S = 0.005, 300


class Took(NamedTuple):
    """One process."""

    rows: int
    seconds: float
    peak: int
    digest: str


class Cost(NamedTuple):
    """What one project costs. `pace`: rows a second at 5 ms."""

    rows: int
    us: float
    bytes: float
    pace: float
    digests: dict[int, str]


def once(python: Path | str, name: str, rows: int, delay_s: float) -> Took:
    """Run it in a process and a folder of its own; RuntimeError with what it said last where it fails."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder, open(f"{folder}/log", "w+") as log:
        command = [str(python), str(HERE / f"of_{name}.py"), str(rows), str(delay_s), folder]
        variables = {**os.environ, "PYTHONPATH": str(ROOT) if name in OURS else "", "TQDM_DISABLE": "1"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=variables, cwd=folder
        )
        timer = threading.Timer(LIMIT_S, kill, [process.pid])
        timer.start()
        try:
            peak, said = watch(process)
        finally:
            timer.cancel()
            kill(process.pid)
            process.wait()
        if "DONE" not in said or "SAID" not in said:
            log.seek(0)
            lines = [line.strip() for line in log.read().splitlines() if line.strip(" │╰╯─")]
            raise RuntimeError(
                f"stopped after {LIMIT_S} s or failed: {lines[-1] if lines else 'no word'}"[:300]
            )
        if said["SAID"]["rows"] != rows:
            raise RuntimeError(f"{said['SAID']['rows']} rows came back of {rows}")
        return Took(rows, said["DONE"]["seconds"], peak, said["SAID"]["digest"])


def watch(process: subprocess.Popen[str]) -> tuple[int, dict[str, dict[str, float]]]:
    """Peak resident bytes of it and its children until it says DONE, and what it said."""
    peak, stop, said = 0, threading.Event(), {}

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.1):
            peak = max(peak, resident(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("DONE", "SAID")):
            stop.set()
            said[line[:4]] = json.loads(line[4:])
    stop.set()
    sampler.join()
    return peak, said


def family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []


def resident(pid: int) -> int:
    total = 0
    for process in family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def kill(pid: int) -> None:
    for process in family(pid):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def cost(python: Path | str, name: str, sizes: tuple[int, int], rounds: int) -> Cost:
    """Two sizes at 0 ms, the larger at 5 ms."""
    few, most = ([once(python, name, size, 0) for _ in range(rounds)] for size in sizes)
    late = [once(python, name, sizes[1], DELAY_S) for _ in range(rounds)]
    small, large, slow = (statistics.median(t.seconds for t in took) for took in (few, most, late))
    before, after = (statistics.median(t.peak for t in took) for took in (few, most))
    more = sizes[1] - sizes[0]
    a_row = (large - small) / more
    if a_row <= 0:
        raise RuntimeError(f"{sizes[1]:,} rows took no longer than {sizes[0]:,}: the machine is too busy")
    start = max(0.0, small - sizes[0] * a_row)
    digests = {t.rows: t.digest for t in (*few, *most, *late)}
    return Cost(sizes[1], a_row * 1e6, (after - before) / more, sizes[1] / (slow - start), digests)


def fitting(python: Path | str, name: str, seconds: float) -> tuple[int, int]:
    """The sizes for a peer: a few rows, and about as many as it does in so many seconds."""
    few, more = (once(python, name, size, 0).seconds for size in (FEW, 5 * FEW))
    a_row = max(more - few, more / 20) / (4 * FEW)
    return FEW, int(min(MOST, max(5 * FEW, seconds / a_row)))


def version(python: Path | str, distribution: str) -> str:
    ask = f"import importlib.metadata; print(importlib.metadata.version({distribution!r}))"
    return subprocess.run([str(python), "-c", ask], capture_output=True, text=True).stdout.strip()


def measured(given: argparse.Namespace) -> tuple[dict[str, Cost], dict[str, str], list[str]]:
    """Everybody's cost, everybody's name with its version, and a sentence for each who has none."""
    costs: dict[str, Cost] = {}
    names = {
        "curate": "curate",
        "bare": "plain asyncio, keeps nothing",
        "durable": "plain asyncio, every answer on disk first",
    }
    missing = []
    for name in OURS:
        costs[name] = cost(sys.executable, name, (given.rows // 5, given.rows), given.rounds)
    for name, distribution in PEERS.items():
        if given.only is not None and name not in given.only:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        python = environment(name, HERE / f"{name}.txt")
        if isinstance(python, str):
            missing.append(python)
            continue
        names[name] = f"{distribution} {version(python, distribution)}"
        try:
            costs[name] = cost(python, name, fitting(python, name, given.seconds), given.rounds)
        except RuntimeError as e:
            missing.append(f"{names[name]} did not do it: {e}")
    return costs, names, missing


def table(costs: dict[str, Cost], names: dict[str, str]) -> list[str]:
    ideal, ours = 256 / DELAY_S, costs["curate"]
    same = reference(max(c.rows for c in costs.values()), [n for c in costs.values() for n in c.digests])
    lines = [
        "| who | rows | µs a row, 0 ms | ours | bytes a row | rows/s, 5 ms | of ideal | of bare | same |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, c in costs.items():
        right = all(same[rows] == digest for rows, digest in c.digests.items())
        a_row = f"{c.us:,.1f} | × {c.us / ours.us:,.1f} | {c.bytes:,.0f}"
        lines.append(
            f"| {names[name]} | {c.rows:,} | {a_row} | {c.pace:,.0f} "
            f"| {c.pace / ideal:.1%} | {c.pace / costs['bare'].pace:.1%} | {'yes' if right else 'NO'} |"
        )
    return lines


def reference(most: int, sizes: list[int]) -> dict[int, str]:
    """rows → the digest of the right answers."""
    sys.path.insert(0, str(HERE))
    from task import digest, question, reply

    return {n: digest((q, reply(q)) for q in map(question, range(n))) for n in {*sizes} if n <= most}


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rows", type=int, default=100_000, help="for us; peers get at most 100,000")
    options.add_argument("--rounds", type=int, default=3, help="of everybody")
    options.add_argument("--seconds", type=float, default=40.0, help="about how long a peer may take")
    options.add_argument("--only", nargs="*", choices=list(PEERS), default=None, help="these peers alone")
    given = options.parse_args()
    costs, names, missing = measured(given)
    facts = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    print(f"{facts}; 256 in flight\n")
    print("\n".join(table(costs, names)))
    for sentence in missing:
        print(f"\n{sentence}")
    peers = {name: c.us for name, c in costs.items() if name in PEERS}
    if peers:
        best = min(peers, key=lambda name: peers[name])
        ours = costs["curate"].us
        print(f"\nbest peer: {names[best]}; ours costs {ours / peers[best]:.3f} of it a row, ", end="")
        print(f"and {ours / costs['durable'].us:.3f} of the plain loop with every answer on disk")


if __name__ == "__main__":
    main()

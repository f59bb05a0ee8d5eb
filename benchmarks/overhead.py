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
in groups, and writes a parquet. All are medians over --rounds. Exit code 1 where answers are wrong, or
a peer that is installed fails.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.environment import environment
from peers.machine import facts, wanted
from peers.timed import HERE, OURS, Slow, once

PEERS = {  # folder name of the environment → the distribution whose version is printed
    "distilabel": "distilabel",
    "datatrove": "datatrove",
    "data_designer": "data-designer",
    "bespokelabs_curator": "bespokelabs-curator",
    "ray": "ray",
}
FEW, MOST = 2_000, 100_000  # rows of a peer
DELAY_S = 0.005


class Cost(NamedTuple):
    """What one project costs. `pace`: rows a second at 5 ms."""

    rows: int
    us: float
    bytes: float
    pace: float
    digests: set[tuple[int, str]]


def cost(python: Path | str, name: str, sizes: tuple[int, int], rounds: int) -> Cost:
    """Two sizes at 0 ms, the larger at 5 ms."""
    few, most = ([once(python, name, size, 0) for _ in range(rounds)] for size in sizes)
    late = [once(python, name, sizes[1], DELAY_S) for _ in range(rounds)]
    small, large, slow = (statistics.median(t.seconds for t in took) for took in (few, most, late))
    before, after = (statistics.median(t.peak for t in took) for took in (few, most))
    more = sizes[1] - sizes[0]
    a_row = (large - small) / more
    if a_row <= 0:
        raise Slow(f"{sizes[1]:,} rows took no longer than {sizes[0]:,}: the machine is too busy")
    start = max(0.0, small - sizes[0] * a_row)
    digests = {(t.rows, t.digest) for t in (*few, *most, *late)}
    return Cost(sizes[1], a_row * 1e6, (after - before) / more, sizes[1] / (slow - start), digests)


def fitting(python: Path | str, name: str, seconds: float) -> tuple[int, int]:
    """The sizes for a peer: a few rows, and about as many as it does in so many seconds."""
    few, more = (once(python, name, size, 0).seconds for size in (FEW, 5 * FEW))
    a_row = max(more - few, more / 20) / (4 * FEW)
    return FEW, int(min(MOST, max(5 * FEW, seconds / a_row)))


def version(python: Path | str, distribution: str) -> str:
    ask = f"import importlib.metadata; print(importlib.metadata.version({distribution!r}))"
    return subprocess.run([str(python), "-c", ask], capture_output=True, text=True).stdout.strip()


def measured(given: argparse.Namespace) -> tuple[dict[str, Cost], dict[str, str], list[str], list[str]]:
    """Everybody's cost, their names with versions, a sentence for each who has none, and who failed."""
    costs: dict[str, Cost] = {}
    names = {
        "curate": "curate",
        "bare": "plain asyncio, keeps nothing",
        "durable": "plain asyncio, every answer on disk first",
    }
    missing: list[str] = []
    failed: list[str] = []
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
        except (Slow, RuntimeError) as e:
            missing.append(f"{names[name]} did not do it: {e}")
            failed += [names[name]] if isinstance(e, RuntimeError) else []
    return costs, names, missing, failed


def table(costs: dict[str, Cost], names: dict[str, str]) -> list[str]:
    ideal, ours, bad = 256 / DELAY_S, costs["curate"], wrong(costs)
    lines = [
        "| who | rows | µs a row, 0 ms | ours | bytes a row | rows/s, 5 ms | of ideal | of bare | same |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, c in costs.items():
        a_row = f"{c.us:,.1f} | × {c.us / ours.us:,.1f} | {c.bytes:,.0f}"
        lines.append(
            f"| {names[name]} | {c.rows:,} | {a_row} | {c.pace:,.0f} "
            f"| {c.pace / ideal:.1%} | {c.pace / costs['bare'].pace:.1%} | {'NO' if name in bad else 'yes'} |"
        )
    return lines


def wrong(costs: dict[str, Cost]) -> list[str]:
    """Who handed back other answers than the right ones, in any of its runs."""
    sys.path.insert(0, str(HERE))
    from task import digest, question, reply

    sizes = {rows for cost in costs.values() for rows, _ in cost.digests}
    right = {(n, digest((q, reply(q)) for q in map(question, range(n)))) for n in sizes}
    return [name for name, cost in costs.items() if not cost.digests <= right]


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rows", type=int, default=100_000, help="for us; peers get at most 100,000")
    options.add_argument("--rounds", type=int, default=3, help="of everybody")
    options.add_argument("--seconds", type=float, default=40.0, help="about how long a peer may take")
    options.add_argument("--only", nargs="*", choices=list(PEERS), default=None, help="these peers alone")
    given = options.parse_args()
    print(f"{facts()}; 256 in flight\n", flush=True)
    try:
        costs, names, missing, failed = measured(given)
    except (Slow, RuntimeError) as e:
        print(f"nothing was measured: {e}")
        return int(isinstance(e, RuntimeError))
    print("\n".join(table(costs, names)))
    for sentence in missing:
        print(f"\n{sentence}")
    print()
    ours, bare = costs["curate"], costs["durable"].us
    peers = {name: c.us for name, c in costs.items() if name in PEERS}
    if peers:
        best = min(peers, key=lambda name: peers[name])
        share = ours.us / peers[best]
        beside = (
            f"{share:.3f} of {names[best]}, {ours.us / bare:.3f} of the plain loop with every answer on disk"
        )
        wanted("a row costs a tenth of what it costs the best peer", beside, share <= 0.1)
    ideal = ours.pace * DELAY_S / 256
    wanted("95 % of the ideal at 5 ms", f"{ideal:.1%}", ideal >= 0.95)
    if bad := [names[name] for name in wrong(costs)]:
        print(f"wrong answers: {', '.join(bad)}")
    if failed:
        print(f"installed, and failed: {', '.join(failed)}")
    return int(bool(bad or failed))


if __name__ == "__main__":
    sys.exit(main())

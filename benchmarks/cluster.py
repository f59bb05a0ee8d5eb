"""What a run costs on a local Ray cluster: time, and the memory of the command that runs the pipeline.

    python benchmarks/cluster.py [--rows N] [--calls N]

Rows: a table of N, 4 N and 16 N traces of 1,000 words goes through a row step that counts them, once with
worker processes of this machine and once with two hosts of a Ray cluster (`ray=2`). Each run is a process of
its own that is given a parquet file; timed is the run without the start of Ray, and `peak` is the resident
memory of that process at its highest (Ray's own processes, and the workers, are others). The answers of both
are compared. Then reading alone: the same traces as JSON lines, read in this process and by two hosts;
`CPU s` is the processor time of this process.

Calls: N questions to a scripted engine that answers at once, with 256 in flight for each replica; asked
directly and through one and two replicas. It is the time of the driver, which bounds how many replicas it can
feed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from peers.machine import facts, peak_mib

import curate
from curate.engines.ray import Ray
from curate.engines.scripted import Scripted
from curate.schema import Row
from curate.step import Engine, Score, user

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Words(Score):
    """How many words the response has."""

    reads = ("response",)

    @property
    def writes(self) -> dict[str, Any]:
        return {"words": pl.Int64}

    def row(self, row: Row) -> Any:
        return {"words": len(row["response"].split())}


def write_table(path: Path, rows: int) -> None:
    text = pl.format("trace {} " + "word " * 998, pl.col("i"))
    lf = pl.LazyFrame({"i": range(rows)}).select(
        question=pl.format("question {}", pl.col("i")), response=text
    )
    lf.sink_parquet(path, row_group_size=2_000)


def one_run(table: Path, out: Path, hosts: int | None) -> None:
    """In a process of its own: run, and say what it took."""
    if hosts:
        from curate.cluster import attach

        attach()
    began = time.perf_counter()
    run = curate.Pipeline(curate.read(table), [Words()]).run(out, ray=hosts)
    seconds = time.perf_counter() - began
    found = run.traces.select(pl.len(), pl.col("words").sum()).collect().row(0)
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), "found": found}))


def one_reading(lines: Path, out: Path, hosts: int) -> None:
    """In a process of its own: read, and say what it took."""
    from curate.cluster import Cluster, attach

    if hosts:
        attach()
    out.mkdir()
    began, before = time.perf_counter(), time.process_time()
    with Cluster(hosts) if hosts else nullcontext() as cluster:
        found = curate.read(lines).load(out, cluster and (lambda: cluster))
        said = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - before}
    print(json.dumps({**said, "peak_mib": peak_mib(), "found": [found.read, found.revision]}))


def alone(*argv: str | Path | int) -> Any:
    """What this file says where it is called with these."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, *map(str, argv)], capture_output=True, text=True, env=env
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def reading_table(base: int) -> None:
    print(f"\n{'rows read':>10s} {'where':>12s} {'rows/s':>10s} {'CPU s':>7s} {'peak MiB':>9s}")
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as folder:
        for rows in (base, 4 * base, 16 * base):
            table, lines, found = Path(folder) / "rows.parquet", Path(folder) / f"{rows}.jsonl", []
            write_table(table, rows)
            pl.scan_parquet(table).sink_ndjson(lines)
            for where, hosts in (("here", 0), ("2 hosts", 2)):
                said = alone("--reading", lines, Path(folder) / f"{rows}-{hosts}", hosts)
                found.append(said["found"])
                rate = f"{rows / said['seconds']:>10,.0f} {said['cpu']:>7.1f} {said['peak_mib']:>9,.0f}"
                print(f"{rows:>10,} {where:>12s} {rate}")
            assert found[0] == found[1] and found[0][0] == rows, found


def rows_table(base: int) -> None:
    print(f"{'rows':>10s} {'where':>12s} {'rows/s':>10s} {'peak MiB':>9s}")
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as folder:
        for rows in (base, 4 * base, 16 * base):
            table, found = Path(folder) / f"{rows}.parquet", []
            write_table(table, rows)
            for where, hosts in (("processes", 0), ("2 hosts", 2)):
                out = Path(folder) / f"{rows}-{hosts}"
                said = alone("--one", table, out, hosts)
                found.append(said["found"])
                print(f"{rows:>10,} {where:>12s} {rows / said['seconds']:>10,.0f} {said['peak_mib']:>9,.0f}")
            assert found[0] == found[1] == [rows, rows * 1000], found


def answer(messages: Any) -> str:
    return "so"


async def calls_a_second(engine: Engine, calls: int) -> float:
    async with engine as opened:
        questions = iter(range(calls))

        async def some() -> None:
            for i in questions:
                await opened.chat(user(f"question {i} " + "word " * 200), seed=i)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(getattr(engine, "concurrency", 256)):
                group.create_task(some())
        return calls / (time.perf_counter() - began)


def calls_table(calls: int) -> None:
    engine = Scripted(script=answer)
    print(f"\n{'calls of an engine that answers at once':42s} {'calls/s':>8s}")
    for name, asked in (("directly", engine), ("1 replica", Ray(engine, 1)), ("2 replicas", Ray(engine, 2))):
        print(f"{name:42s} {asyncio.run(calls_a_second(asked, calls)):>8,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--reading", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return one_run(Path(given.one[0]), Path(given.one[1]), int(given.one[2]) or None)
    if given.reading:
        return one_reading(Path(given.reading[0]), Path(given.reading[1]), int(given.reading[2]))
    if importlib.util.find_spec("ray") is None:
        return print("ray is not installed: pip install 'trace-curate[ray]'")
    print(f"{facts('polars', 'ray')}\n", flush=True)
    rows_table(given.rows)
    reading_table(given.rows)
    calls_table(given.calls)


if __name__ == "__main__":
    main()

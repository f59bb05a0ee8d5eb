"""What grows in the process that drives a run, phase by phase, over three numbers of small rows.

    python benchmarks/ten_million.py                     100,000, 300,000 and 1,000,000 rows
    python benchmarks/ten_million.py --rows 10000000     1, 3 and 10 million
    python benchmarks/ten_million.py --ray 2             rows read and worked on by two hosts of a Ray cluster

Each size is a run of its own in a fresh process: read, two filters that are expressions, one step a row in
worker processes whose answers are remembered, and the answers laid beside the rows. Then, but with --ray, a
tenth of the rows as problems that a model of no delay answers (`Sample`), the dearest path a row can take. A
peak is the high-water mark of the resident memory of the driving process, reset where a phase begins (Linux);
workers and hosts are not in it. Rows are small (100 bytes of text), so what is seen grows with rows, not with
texts. The exponents are those of the power law through the smallest and the largest size: 1 is linear, 0 is
flat.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from peers.machine import facts, peak_mib

ROOT = Path(__file__).resolve().parent.parent
SHARES = (0.1, 0.3, 1.0)  # of --rows
ASKED = 0.1  # of the rows of a size
Phases = dict[str, list[float]]  # phase → seconds, megabytes at its peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--ray", type=int, default=None, help="so many hosts of a Ray cluster on this machine"
    )
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what a child does, and for how many rows
    asked = parser.parse_args()
    if asked.one:
        return print(json.dumps(child(asked.one[0], int(asked.one[1]), asked.ray)))
    sizes = [int(asked.rows * share) for share in SHARES]
    print(facts("polars"), flush=True)
    for what, share in (("row", 1.0), *([] if asked.ray else [("ask", ASKED)])):
        found = [_measured(what, int(n * share), asked.ray) for n in sizes]
        _table([int(n * share) for n in sizes], found)


def _measured(what: str, rows: int, hosts: int | None) -> Phases:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--one", what, str(rows), *(["--ray", str(hosts)] if hosts else [])]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found: Phases = json.loads(done.stdout.splitlines()[-1])
    return found


def _table(sizes: list[int], found: list[Phases]) -> None:
    heads = "".join(f"{n:>12,} rows   " for n in sizes)
    print(f"\n{'phase':22s}{heads}      growth of")
    print(f"{'':22s}{'seconds  peak MB   ' * len(sizes)}   time memory")
    for phase in found[0]:
        cells = "".join(f"{s:8.1f} {mb:8,.0f}   " for s, mb in (one[phase] for one in found))
        powers = [
            math.log(max(found[-1][phase][i], 0.01) / max(found[0][phase][i], 0.01))
            / math.log(sizes[-1] / sizes[0])
            for i in (0, 1)
        ]
        print(f"{phase:22s}{cells} {powers[0]:7.2f} {powers[1]:6.2f}")


def rows_of(n: int, path: Path, problems: bool) -> Path:
    """n rows: four traces a problem, one of three of them wrong; or n problems."""
    i = pl.col("i")
    p = i if problems else i // 4
    traces = {
        "response": pl.format(
            "<think>{} and {}, let me see, try {}.</think>It is {}.", p, p, i % 4, 2 * p + (i % 3 == 0)
        ),
        "output_tokens": 20 + i % 50,
    }
    asked = {"question": pl.format("What is {} + {}?", p, p), "answer": (2 * p).cast(pl.String)}
    frame = pl.LazyFrame({"n": [n]}).select(i=pl.int_range(0, n))
    frame.select(**asked, **({} if problems else traces)).sink_parquet(path)
    return path


def child(what: str, n: int, hosts: int | None) -> Phases:
    """One run, and what its phases took."""
    import curate
    from curate.cluster import attach
    from curate.engines.scripted import Scripted
    from curate.filters.length_band import LengthBand
    from curate.filters.truncated import Truncated
    from curate.verifiers.format import Format

    found: Phases = {}
    with tempfile.TemporaryDirectory(prefix="curate-rows-") as folder:
        source = rows_of(n, Path(folder) / "source.parquet", problems=what == "ask")
        steps: list[Any] = [Truncated(), LengthBand(min_tokens=30), Format(no_commas=True)]
        if what == "ask":
            steps = [curate.Sample(Scripted(model="null", script=lambda messages: "4"))]
        if hosts:
            attach()
        watch(found)
        with phase(found, "all the rest"):
            run = curate.Pipeline(curate.read(source), steps).run(Path(folder) / "run", ray=hosts)
        funnel = run.funnel().table
        assert funnel["rows_in"][0] == n
        assert (
            pl.scan_parquet(run.folder / "live.parquet").select(pl.len()).collect().item()
            == funnel["rows_out"][-1]
        )
    return found


def watch(found: Phases) -> None:
    """Time the phases of every run in this process."""
    stages, remember = importlib.import_module("curate.stages"), importlib.import_module("curate.remember")
    reading = importlib.import_module("curate.read")
    for owner, name, label in (
        (reading.Source, "load", "read"),
        (stages.Walk, "close", "expressions, sinks"),
        (remember.Memory, "todo", "todo: the anti-join"),
        (remember, "match", "answers beside rows"),
        (remember.Memory, "remember", "the rows' work"),
    ):
        setattr(owner, name, _timed(found, getattr(owner, name), label))


def _timed(found: Phases, function: Callable[..., Any], label: str) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        with phase(found, label):
            return function(*args, **options)

    return timed


_OPEN: list[str] = []


@contextmanager
def phase(found: Phases, label: str) -> Iterator[None]:
    """Add seconds and peak to `label`, without those of a phase within it."""
    start = time.monotonic()
    _note(found, 0.0)
    _OPEN.append(label)
    try:
        yield
    finally:
        seconds = time.monotonic() - start
        _note(found, seconds)
        _OPEN.pop()
        if _OPEN:
            found.setdefault(_OPEN[-1], [0.0, 0.0])[0] -= seconds


def _note(found: Phases, seconds: float) -> None:
    """Give the high-water mark to the innermost phase, and begin anew."""
    if _OPEN:
        line = found.setdefault(_OPEN[-1], [0.0, 0.0])
        line[:] = [line[0] + seconds, max(line[1], peak_mib())]
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()

"""An hour of mixed work against a server that fails: memory stays flat, every row is accounted for.

    python benchmarks/soak.py [--minutes 60] [--seed 0]

One process does `mixed/recipe.py` again and again, each time on problems of its own, against a server of
which 5 % of the requests fail (500, 502, 503, 429, 400, a dropped connection), 1 % hang until the client
gives up, and 0.1 % are answered with what is no answer. A row whose call failed for good is asked again by
the same command until none is left. Of every round it is checked that each sample of each problem is there
once, that every dropped row has its reason, that no trace has an id twice, and that no text is other than
what the server said; of every tenth round also that its tables are, byte by byte, those of a server that
never fails.

The process's memory (resident set), descriptors, threads and children are sampled each second. Memory's
slope is that of a line through the peaks of all rounds after the first fifth of the time; it has to be
below what a tenth of the memory would be in an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from mixed.processes import Shop, children  # noqa: E402
from mixed.recipe import SAMPLES, recipe, write_problems  # noqa: E402
from peers.machine import facts  # noqa: E402

ROWS, COMPARED = 100, 10
FAULTS = {"error": 0.05, "hang": 0.01, "garbage": 0.001, "hang_s": 20.0}


@dataclass
class Sampled:
    """The working process, looked at each second: (seconds, MB, descriptors, threads, children)."""

    pid: int
    began: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, float, int, int, int]] = field(default_factory=list)

    def look(self) -> None:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
            pages = next(line for line in status.splitlines() if line.startswith("VmRSS"))
            counts = [len(os.listdir(f"/proc/{self.pid}/{what}")) for what in ("fd", "task")]
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            return
        below = len(children(self.pid))
        self.seen.append((time.monotonic() - self.began, int(pages.split()[1]) / 1024, *counts, below))

    def peak(self, begin: float, end: float) -> float:
        return max((mb for at, mb, *_ in self.seen if begin <= at <= end), default=0.0)


def work(url: str, calm: str, folder: Path, minutes: float) -> None:
    """Round after round until the time is over; a line of JSON after each, when all of it is closed."""
    end, number = time.monotonic() + minutes * 60, 0
    while time.monotonic() < end:
        problems, out, again = folder / "problems.jsonl", folder / f"round{number}", folder / "again"
        write_problems(problems, ROWS, number * ROWS)
        runs, asked_again, failed = 0, 0, -1
        while failed:
            run = recipe(url, str(problems), pause_s=0.001, request_timeout_s=5.0).run(out)
            asked_again, runs = asked_again + max(failed, 0), runs + 1
            failed = run.dropped.filter(pl.col("why").str.starts_with("call failed")).collect().height
            assert runs < 20, f"{failed} rows still fail"
        told = {"round": number, "runs": runs, "asked_again": asked_again, **accounted(out)}
        if number % COMPARED == 0:
            recipe(calm, str(problems), pause_s=0.001).run(again)
            same = [
                (out / t).read_bytes() == (again / t).read_bytes()
                for t in ("live.parquet", "dropped.parquet")
            ]
            told["other_bytes"] = same.count(False)
            shutil.rmtree(again)
        shutil.rmtree(out)
        print(json.dumps(told), flush=True)
        number += 1


def accounted(out: Path) -> dict[str, int]:
    """How the rows of one finished round add up; everything but `rows` and `calls` has to be 0."""
    live, dropped = (pl.read_parquet(out / f"{name}.parquet") for name in ("live", "dropped"))
    rows = pl.concat([live, dropped], how="diagonal_relaxed")
    first = rows.filter(pl.col("parent_id").is_null() & pl.col("trace_id").is_not_null())
    samples = first.group_by("problem_id").agg(pl.col("sample").sort())
    whole = samples.filter(pl.col("sample") == list(range(SAMPLES))).height
    said = rows.filter(pl.col("trace_id").is_not_null())["response"]
    return {
        "rows": rows.height,
        "calls": int(pl.read_parquet(out / "ledger.parquet")["calls"].sum()),
        "problems_wrong": abs(ROWS - whole) + samples.height - whole,
        "ids_twice": rows["trace_id"].drop_nulls().is_duplicated().sum(),
        "without_reason": dropped["why"].null_count() + dropped["dropped_by"].null_count(),
        "foreign_texts": said.len() - said.str.contains(r"^[0-9a-f]{12}$").sum(),
    }


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares, per hour."""
    if len(points) < 2:
        return 0.0
    return 3600 * statistics.linear_regression(*zip(*points, strict=True)).slope


def follow(command: list[str]) -> tuple[list[dict[str, Any]], Sampled]:
    """Run the working process, sample it, and read its lines; each gets the time at which it came."""
    rounds: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        sampled = Sampled(process.pid)

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                sampled.look()
                seen = sampled.seen[-1][1:]
                rounds.append({**json.loads(line), "at": time.monotonic() - sampled.began, "open": seen})
                print(f"{rounds[-1]['at']:6.0f} s {line.strip()} {seen}", file=sys.stderr, flush=True)

        reader = threading.Thread(target=read)
        reader.start()
        while process.poll() is None:
            sampled.look()
            time.sleep(1)
        reader.join()
    if process.returncode:
        sys.exit(f"the work ended with exit code {process.returncode}; its last words are above")
    return rounds, sampled


def table(rounds: list[dict[str, Any]], sampled: Sampled) -> tuple[str, bool]:
    """What was done, what was wrong, and what grew; and whether all is well."""
    total = {
        k: sum(r.get(k, 0) for r in rounds) for r in rounds for k in r if k not in ("round", "at", "open")
    }
    wrong = {k: total.get(k, 0) for k in ("problems_wrong", "ids_twice", "without_reason", "foreign_texts")}
    wrong["other_bytes"] = total.get("other_bytes", 0)
    last = sampled.seen[-1][0]
    begins = [0.0, *(r["at"] for r in rounds)]
    peaks = [(b, sampled.peak(a, b)) for a, b in zip(begins, begins[1:], strict=False) if b > last / 5]
    out = [
        f"{len(rounds)} rounds in {last / 60:.0f} minutes: {total['rows']:,} rows, {total['calls']:,} calls "
        f"paid, {total['asked_again']} rows asked again in {total['runs'] - len(rounds)} further runs",
        "wrong: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in wrong.items()),
    ]
    if len(peaks) < 2:
        return "\n".join([*out, "too few rounds to say what grows"]), not any(wrong.values())
    half = len(peaks) // 2
    early, late = (statistics.median(mb for _, mb in part) for part in (peaks[:half], peaks[half:]))
    grows = slope(peaks)
    out.append(
        f"memory at its peak, per round: {early:.0f} MB in the first half, {late:.0f} MB in the second; "
        f"slope {grows:+.1f} MB an hour"
    )
    flat = grows < late / 10 or last < 600  # a trial of minutes says nothing of an hour
    for name, i in (("descriptors", 1), ("threads", 2), ("children", 3)):
        after = [r["open"][i] for r in rounds if r["open"]]
        half = len(after) // 2
        low, high = min(after[:half]), min(after[half:])
        out.append(f"{name}: at least {low} in the first half, {high} in the second, at most {max(after)}")
        flat = flat and high <= low
    return "\n".join(out), flat and not any(wrong.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)  # the process that is looked at
    given = parser.parse_args()
    if given.work:
        url, calm, folder = given.work
        return work(url, calm, Path(folder), given.minutes)
    print(f"{facts('polars')}; seed {given.seed}\n", flush=True)
    shop, calm = Shop(seed=given.seed, log="/dev/null", **FAULTS), Shop(log="/dev/null")
    try:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--minutes", str(given.minutes)]
            rounds, sampled = follow([*command, "--work", shop.url, calm.url, folder])
    finally:
        shop.kill()
        calm.kill()
    told, well = table(rounds, sampled)
    print(f"{told}\nload {os.getloadavg()[0]:.1f} at the end")
    sys.exit(not well)


if __name__ == "__main__":
    main()

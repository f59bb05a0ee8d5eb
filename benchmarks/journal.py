"""How many completed calls a second are made durable, what an answer costs on disk, how long resuming takes.

    python benchmarks/journal.py [--calls N] [--rows N] [--rounds N] [--folder DIR]

Calls: N small answers (300 bytes) from 256 and from 512 writers at once, each of which waits until its own is
committed and synced; median over rounds. Beside it what the disk itself allows: writes of 4 KiB, each synced.
A commit carries all calls that completed while the last one was under way, so calls a commit × syncs a second
is the bound. Before the journal is closed, another connection looks whether every answer is there.

Resume: a run of N answered rows (8 samples of N / 8 problems, null engine) is made through the ordinary code,
and run again in a new process. `anti-join` is the time in which every part is checked against its SHA-256 and
the rows that nobody has answered are found, none here; `whole run` reads the problems again, hashes every
row, joins the answers and writes the tables. Bytes beside the text: the folder of answers, less the same
texts alone in files of the same kind. DIR (a new one in TMPDIR) must lie on the disk that is meant.

Exit code 1 where an answer is not there, a row is asked again, or the second run's tables are others.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers" / "overhead"))

import polars as pl
from of_curate import Null
from peers.machine import facts, wanted
from task import question

import curate
from curate import remember
from curate.journal import Call, Journal

TEXT = "a small answer, " * 19


def syncs(folder: Path, seconds: float = 1.0) -> float:
    """Writes of 4 KiB a second, each of them synced."""
    done, began, block = 0, time.perf_counter(), os.urandom(4096)
    with open(folder / "syncs", "wb", buffering=0) as file:
        while time.perf_counter() - began < seconds:
            file.write(block)
            os.fsync(file.fileno())
            done += 1
    return done / (time.perf_counter() - began)


def durable(folder: Path, calls: int, writers: int) -> tuple[float, float, float, int]:
    """Calls a second, calls a commit, bytes of the journal beside an answer's text, and how many are lost."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    commits = 0

    class Counted(Journal):
        def _insert(self, group: object) -> None:
            nonlocal commits
            commits += 1
            super()._insert(group)  # type: ignore[arg-type]

    async def some(journal: Journal, numbers: Iterator[int]) -> None:
        for i in numbers:
            key = f"{i:032x}"
            await journal.keep(Call(key, "sample", key, TEXT, "fingerprint", "model", 10, 60))

    async def everything(journal: Journal) -> None:
        numbers = iter(range(calls))
        await asyncio.gather(*(some(journal, numbers) for _ in range(writers)))

    with closing(Counted(folder / "journal.sqlite")) as journal:
        began = time.perf_counter()
        asyncio.run(everything(journal))
        seconds = time.perf_counter() - began
        lost = calls - kept(folder / "journal.sqlite", calls)
    size = (folder / "journal.sqlite").stat().st_size
    return calls / seconds, calls / commits, size / calls - len(TEXT), lost


def kept(journal: Path, calls: int) -> int:
    """How many of the calls another connection finds in a journal, with the answer that was kept."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        found = db.execute("select distinct key from calls where reply = ?", (TEXT,)).fetchall()
    return len({key for (key,) in found} & {f"{i:032x}" for i in range(calls)})


def pipeline(folder: Path) -> curate.Pipeline:
    return curate.Pipeline(curate.read(str(folder / "problems.jsonl")), [curate.Sample(Null(0.0), n=8)])


def resume(folder: Path) -> None:
    """Run it again, in a process of its own; one line of JSON."""
    spent = []
    answer = remember.Memory.remember

    def timed(memory: remember.Memory, *asked: Any) -> remember.Answers:
        began = time.perf_counter()
        try:
            return answer(memory, *asked)
        finally:
            spent.append(time.perf_counter() - began)

    remember.Memory.remember = timed  # type: ignore[method-assign, assignment]
    before = peak()
    began = time.perf_counter()
    run = pipeline(folder).run(folder / "run")
    whole = time.perf_counter() - began
    [line] = run.ledger.to_dicts()
    said = {"whole": whole, "join": spent[0], "before": before, "peak": peak(), "cached": line["rows_cached"]}
    print(json.dumps(said))


def peak() -> int:
    """The most resident memory this process has had, in KiB (ru_maxrss would count the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def beside(answers: Path, rows: int) -> tuple[float, float]:
    """Bytes of an answer on disk, and those of them that are not its text."""
    parts = sorted(answers.glob("*/*.parquet"))
    size, alone = sum(p.stat().st_size for p in parts), 0
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.parquet")
        for part in parts:
            pl.read_parquet(part, columns=["response"]).write_parquet(text, compression="zstd")
            alone += text.stat().st_size
    return size / rows, (size - alone) / rows


def tables(folder: Path) -> dict[str, str]:
    """The tables of a run, by name, as a hash of their bytes."""
    found = {}
    for path in (folder / "live.parquet", folder / "dropped.parquet"):
        with open(path, "rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--calls", type=int, default=100_000)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=None)
    options.add_argument("--resume", type=Path, default=None, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.resume is not None:
        resume(given.resume)
        return 0
    with tempfile.TemporaryDirectory(prefix="journal-", dir=given.folder) as name:
        print(facts(folder=Path(name)) + "\n")
        wrong = [*speed(Path(name), given.calls, given.rounds), *again(Path(name), given.rows)]
    print("\n".join(wrong))
    return int(bool(wrong))


def speed(folder: Path, calls: int, rounds: int) -> list[str]:
    """Print the table of calls; what was wrong."""
    print("| writers | calls/s, durable | calls a commit | syncs/s of the disk | bytes beside the text |")
    print("|---|---|---|---|---|")
    wrong, found = [], []
    for writers in (256, 512):
        took = [(*durable(folder / "calls", calls, writers), syncs(folder)) for _ in range(rounds)]
        rate, group, more, _, disk = (statistics.median(column) for column in zip(*took, strict=True))
        found.append((writers, rate, group * disk))
        if lost := max(one[3] for one in took):
            wrong.append(f"{writers} writers: {lost:,} of {calls:,} answers are not in the journal")
        print(f"| {writers} | {rate:,.0f} | {group:,.0f} | {disk:,.0f} | {more:,.0f} |", flush=True)
    print()
    for writers, rate, bound in found:
        beside = f"{rate:,.0f} of {writers} writers, the disk allows {bound:,.0f}"
        wanted("20,000 answers/s, or what the disk allows", beside, rate >= min(20_000, bound))
    return wrong


def again(folder: Path, rows: int) -> list[str]:
    """Print the table of resuming; what was wrong."""
    problems = folder / "problems.jsonl"
    with open(problems, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"question": question(i)}) + "\n" for i in range(rows // 8))
    began = time.perf_counter()
    pipeline(folder).run(folder / "run")
    made = time.perf_counter() - began
    first = tables(folder / "run")
    size, more = beside(folder / "run" / "answers", rows)
    command = [sys.executable, __file__, "--resume", str(folder)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, "TQDM_DISABLE": "1"}
    )
    said = json.loads(done.stdout)
    print("\n| answered rows | made in | bytes an answer | beside its text | anti-join | whole run | peak |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {rows:,} | {made:.0f} s | {size:.0f} | {more:.0f} | {said['join']:.1f} s | {said['whole']:.1f} s "
        f"| {said['peak'] / 1024:,.0f} MB, {said['before'] / 1024:,.0f} MB of it before |"
    )
    second = tables(folder / "run")
    wrong = [
        f"{name} of the second run is not that of the first" for name in first if first[name] != second[name]
    ]
    if said["cached"] != rows:
        wrong.append(f"{rows - said['cached']:,} of {rows:,} answered rows were asked again")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

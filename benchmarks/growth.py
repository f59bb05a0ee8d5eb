"""Work on the whole table over ×1, ×4 and ×16 traces: seconds, peak memory, and how both grow.

    python benchmarks/growth.py                    ×1 is 60,000 traces of 4 kB: ×16 is 3.8 GB of text
    python benchmarks/growth.py --rows 10000       a smaller ×1

Traces are made by seed: eight to a problem, lengths log-normal, one in twenty a copy but for white space, one
problem in fifty a test question. Every step runs in a fresh process as a run would (its columns alone, from
parquet, the marks to parquet); the peak is the high-water mark of its resident memory (VmHWM, for `ru_maxrss`
of a child begins at its parent's), with what it takes to import the step. Processor time
stands beside the wall clock, since the latter grows with whoever else is at work. At ×1 the rows that are
marked are compared with plain Python that holds everything; exit code 1 where they
differ. The exponents, of processor time and of memory,
are those of the power law through ×1 and ×16: 1 is linear, 0 is flat.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from peers.machine import facts
from peers.plainly import STEPS

ROOT = Path(__file__).resolve().parent.parent
TIMES = (1, 4, 16)
PER_PROBLEM, BATCH = 8, 20_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a step and a folder, in a child
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(child(asked.one[0], Path(asked.one[1]))))
        return 0
    print(facts("polars"), flush=True)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="curate-growth-") as folder:
        tables = [made(asked.rows * n, Path(folder) / str(n)) for n in TIMES]
        sizes = [
            pl.scan_parquet(t / "rows.parquet").select(pl.col("size").sum()).collect().item() for t in tables
        ]
        print(
            "; ".join(
                f"×{n}: {asked.rows * n:,} rows, {s / 1e9:.2f} GB" for n, s in zip(TIMES, sizes, strict=True)
            )
        )
        print(
            f"{'':18s}" + "".join(f"{f'×{n}':>8s} s {'cpu s':>7s} {'MB':>7s}" for n in TIMES),
            "  time^ memory^  marked",
        )
        for name in STEPS:
            runs = [_run(name, table) for table in tables]
            cells = "".join(f"{r['seconds']:10.1f} {r['cpu']:7.1f} {r['mb']:7,.0f}" for r in runs)
            powers = [
                math.log(max(runs[-1][k], 0.1) / max(runs[0][k], 0.1)) / math.log(TIMES[-1])
                for k in ("cpu", "mb")
            ]
            differ = compare(name, tables[0])
            wrong += [name] if differ else []
            same = f"{differ:,} ROWS DIFFER" if differ else "as the reference"
            print(
                f"{name:18s}{cells} {powers[0]:6.2f} {powers[1]:6.2f}   {runs[-1]['marked']:,}; at ×1 {same}"
            )
    if wrong:
        print(f"other rows than plain Python marks: {', '.join(wrong)}")
    return int(bool(wrong))


def _run(name: str, table: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, str(table)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(name: str, folder: Path) -> dict[str, Any]:
    """Mark one table with one step, as `curate.stages` does."""
    step = step_of(name, folder)
    start, cpu = time.monotonic(), time.process_time()
    rows = pl.scan_parquet(folder / "rows.parquet").with_row_index("row").select("row", *step.columns)
    out = folder / f"{name}.parquet"
    step.mark(rows).sink_parquet(out, maintain_order=True)
    spent = {"seconds": time.monotonic() - start, "cpu": time.process_time() - cpu, "mb": _peak()}
    return {**spent, "marked": pl.scan_parquet(out).select(pl.len()).collect().item()}


def _peak() -> float:
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


# ── the tables ──────────────────────────────────────────────────────────────────────────────────────────────


def made(n: int, folder: Path) -> Path:
    """n traces in rows.parquet, a few test questions in bench.jsonl."""
    folder.mkdir()
    chosen = random.Random(n)
    sentences = [
        " ".join(chosen.choices(VOCABULARY, k=chosen.randint(6, 24))).capitalize() + "." for _ in range(5_000)
    ]
    import pyarrow.parquet as pq

    writer = None
    with open(folder / "bench.jsonl", "w") as bench:
        for start in range(0, n, BATCH):
            rows: list[dict[str, Any]] = []
            for i in range(start, min(n, start + BATCH), PER_PROBLEM):
                rows += problem(i, min(PER_PROBLEM, n - i), chosen, sentences, bench)
            table = pl.DataFrame(rows).to_arrow()
            writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema, compression="zstd")
            writer.write_table(table, row_group_size=2_000)
    if writer:
        writer.close()
    return folder


VOCABULARY = ["".join(random.Random(i).choices("etaoinshrdlucmwfgypbv", k=2 + i % 8)) for i in range(3_000)]


def problem(i: int, n: int, chosen: random.Random, sentences: list[str], bench: Any) -> list[dict[str, Any]]:
    """The traces of one problem: mostly right, sometimes one a copy of the one before it."""
    question = f"{' '.join(chosen.choices(VOCABULARY, k=20))} {i}?"
    if i // PER_PROBLEM % 50 == 0:
        bench.write(
            json.dumps({"id": str(i), "question": question.upper() + " " + chosen.choice(sentences)}) + "\n"
        )
    rows: list[dict[str, Any]] = []
    for sample in range(n):
        size = int(chosen.lognormvariate(4, 0.6))
        thinking, answer = (
            "\n".join(chosen.choices(sentences, k=size // 2)),
            str(i % 97 + (chosen.random() < 0.3)),
        )
        if rows and chosen.random() < 0.05:
            thinking, answer = rows[-1]["thinking"].replace("\n", "\n\n"), rows[-1]["said"]
        row = {
            "problem_id": hashlib.md5(question.encode()).hexdigest(),
            "trace_id": hashlib.md5(f"{i} {sample}".encode()).hexdigest(),
            "question": question,
            "thinking": thinking,
            "response": f"So the answer is \\boxed{{{answer}}}.",
            "output_tokens": len(thinking) // 4,
            "picked": len(thinking) % 3 == 0,
            "said": answer,
        }
        rows.append({**row, "size": sum(len(row[c]) for c in ("question", "thinking", "response"))})
    return rows


# ── the steps, beside what plain Python says ────────────────────────────────────────────────────────────────


def step_of(name: str, folder: Path) -> Any:
    from curate.filters.contamination import Contamination
    from curate.filters.exact_duplicates import ExactDuplicates
    from curate.filters.length_matched import LengthMatched
    from curate.filters.quota import Quota
    from curate.filters.shortest_k import ShortestK
    from curate.filters.top_k import TopK
    from curate.verifiers.agree import Agree

    return {
        "exact_duplicates": lambda: ExactDuplicates(),
        "contamination": lambda: Contamination((str(folder / "bench.jsonl"),)),
        "top_k": lambda: TopK(("output_tokens",), k=2),
        "shortest_k": lambda: ShortestK(2),
        "length_matched": lambda: LengthMatched("picked"),
        "quota": lambda: Quota(("said",), k=100),
        "agree": lambda: Agree(),
    }[name]()


def compare(name: str, folder: Path) -> int:
    """How many rows either the step marked at ×1 (of agree: passed) or the reference, and not both."""
    marks = pl.read_parquet(folder / f"{name}.parquet")
    if name == "agree":
        marks = marks.filter(pl.col("agree").struct.field("passed") == True)  # noqa: E712 - a column
    rows = pl.read_parquet(folder / "rows.parquet").with_row_index("row").to_dicts()
    return len(set(marks["row"]) ^ STEPS[name](rows, folder))


if __name__ == "__main__":
    sys.exit(main())

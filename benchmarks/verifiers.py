r"""How right, fast and safe our verdicts are on labelled answers, beside other people's graders.

    python benchmarks/verifiers.py [--data FOLDER] [--only SOURCE] [--rows N] [--json FILE] [--write FILE.md]

The rows are `verify/*.jsonl` in the data folder (CURATE_DATA, else ../shared/data). Every grader sees one
text in one warm worker process that can be killed: an answer without its box is given one, a response as it
is. Ours is `math_equal`, and `choice` for multiple choice. Answers that are sentences are counted apart: they
are for a judge. verl's files are installed into build/peers, without dependencies, by the first run.

accuracy: the share of rows with the label's verdict; an abstention is wrong. rows/s: through the worker;
"in process": by the time the grader itself took. p50, p99 and worst: milliseconds a row, in the worker. hung:
rows that took longer than 5.5 s, which is our limit and half a second (Math-Verify's own limits are 5 s for
each of its three calls). Everybody is killed after 30 s, ours after its own limit. unsafe: how many of the
probe texts the grader evaluated as Python.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.graders import peers
from peers.hostile import Survived, survived
from peers.judging import Part, Rows, judged
from peers.machine import facts
from peers.report import LATE_S, Parts, report

from curate.pool import Pool
from curate.verifiers.choice import Choice
from curate.verifiers.math_equal import MathEqual

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- what benchmarks/verifiers.py printed -->"


def load(path: Path, most: int | None) -> Rows:
    """The rows of one file; "bare" is the text without the box that we put around an answer."""
    rows = []
    with path.open(encoding="utf-8") as lines:
        for line in list(lines)[:most]:
            row = json.loads(line)
            said = row["response_or_answer"]
            boxed = f"\\boxed{{{said}}}" if row["kind"] != "math_response" and "boxed" not in said else said
            response = said if row["kind"] == "mcq_response" else boxed
            rows.append(row | {"response": response, "bare": said, "answer": row["gold"],
                               "question": row.get("question")})  # fmt: skip
    return rows


def timed_anew(pool: Pool, grader: Any, rows: Rows) -> Part:
    """As `judged`, and a row that was cut off is timed once more by itself, from outside."""
    part = judged(pool, grader, rows)
    for index in part.cut_off:
        began = time.perf_counter()
        pool.run(grader, rows[index])
        part.rows[index] = part.rows[index]._replace(seconds=time.perf_counter() - began)
    return part


def ours(pool: Pool, rows: Rows) -> Part:
    """`choice` for multiple choice, `math_equal` for the rest."""
    choice = [row["kind"] == "mcq_response" for row in rows]
    picked = timed_anew(pool, Choice(), [row for row, its in zip(rows, choice, strict=True) if its])
    worked = timed_anew(pool, MathEqual(), [row for row, its in zip(rows, choice, strict=True) if not its])
    later = [len(picked.rows) + i for i in worked.cut_off]
    return Part(picked.rows + worked.rows, picked.wall + worked.wall, picked.cut_off + later)


def ended(missing: list[str], began: float) -> str:
    """How long it took beside what else, and which peers were not there and why."""
    load, took = os.getloadavg()[0], time.monotonic() - began
    absent = "".join(f"\n\nNot there: {why}." for why in missing)
    return f"One worker process; load {load:.1f} at the end; in all {took:.0f} s.{absent}"


WARM = [(r"\boxed{\frac{\sqrt{8}}{2}+\sin x}", r"\sqrt{2}+\cos(x)"), (r"\boxed{\{1,x\}}", r"\{x,1\}"),
        (r"\boxed{x^2-1=0}", "(x-1)(x+1)=0"), (r"\boxed{5\text{ cm}}", "0.05 m"), ("A: 5", "6")]  # fmt: skip


def measure(files: list[Path], most: int | None) -> tuple[Parts, Parts, dict[str, Survived], list[str]]:
    """All graders over all sources, one worker, one grader at a time."""
    found, missing = peers()
    loaded = {path.stem: load(path, most) for path in files}
    decided = {s: [r for r in rows if r["kind"] != "semantic_answer"] for s, rows in loaded.items()}
    spoken = {s: [r for r in rows if r["kind"] == "semantic_answer"] for s, rows in loaded.items()}
    blank = {"question": None, "kind": "math_answer", "label": True}
    warm = [blank | {"response": said, "answer": gold} for said, gold in WARM]
    parts: Parts = defaultdict(dict)
    semantic: Parts = defaultdict(dict)
    hostile: dict[str, Survived] = {}
    judges: list[tuple[str, Any, Any]] = [("ours", ours, MathEqual())]
    judges += [(p.label, lambda pool, rows, p=p: timed_anew(pool, p, rows), p) for p in found]
    for name, judge, grader in judges:
        print(f"{name} …", file=sys.stderr, flush=True)
        with Pool(workers=1) as pool:
            judge(pool, warm * 4)
            for source, rows in decided.items():
                parts[name][source] = judge(pool, rows)
                if name == "ours":
                    parts["ours, bare"][source] = judge(pool, [r | {"response": r["bare"]} for r in rows])
                if spoken[source]:
                    semantic[name][source] = judge(pool, spoken[source])
            hostile[name] = survived(pool, grader, LATE_S)
    return parts, semantic, hostile, missing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--only", default="", help="sources whose name contains this")
    parser.add_argument("--rows", type=int, help="so many rows of each source")
    parser.add_argument("--json", type=Path, help="write every verdict here as well")
    parser.add_argument("--write", type=Path, help="a page whose part after the mark is replaced")
    args = parser.parse_args()
    began = time.monotonic()
    files = sorted(f for f in (args.data / "verify").glob("*.jsonl") if args.only in f.name)
    if not files:
        parser.error(f"no verify/*.jsonl in {args.data}; set CURATE_DATA or --data")
    head = facts("math-verify", "sympy")
    print(f"{head}\n", flush=True)
    parts, semantic, hostile, missing = measure(files, args.rows)
    text = f"{ended(missing, began)}\n\n{report(parts, semantic, hostile)}"
    print(text)
    if args.json:
        rows = {g: {s: p._asdict() for s, p in by.items()} for g, by in parts.items()}
        found = {g: h._asdict() for g, h in hostile.items()}
        args.json.write_text(json.dumps({"graders": rows, "hostile": found}, indent=1))
    if args.write:
        page = args.write.read_text().partition(MARK)[0] if args.write.exists() else ""
        args.write.write_text(f"{page}{MARK}\n\n{head}\n\n{text}\n")


if __name__ == "__main__":
    main()

"""How often our verdicts agree with the labels of real traces, beside Math-Verify called as its users do.

    python benchmarks/verdicts_on_real_traces.py [--data FOLDER] [--only NAME] [--rows N] [--workers N]

The data is a folder with `traces/*.jsonl.gz` and `verify/*.jsonl` (CURATE_DATA, else ../shared/data). Both
judges see the same text (the response without its thinking) in the same killable processes. Ours is what
`curate_traces` does: Choice, MathEqual, Exact, and the first that does not call the gold unsupported decides.
Math-Verify is `verify(parse(gold), parse(response))` with its own time limits, and 30 s around them.

Columns: "agree" is the share of labelled rows with the label's verdict, an abstention being no agreement;
"of decided" is the same of the rows that we decided; "same" is the share of rows with one verdict from both.
Labels are as the sources have them, mistakes included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.pool import Abstained, Pool
from curate.step import Step, Verdict, Verifier
from curate.text import split_thinking
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual

ROOT = Path(__file__).resolve().parent.parent
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class PlainMathVerify(Verifier):
    """Math-Verify as its README calls it: default readers, default time limits by SIGALRM."""

    timeout_s: float = 30.0
    memory_mb: int = 2048
    reads = ("response", "answer")

    def row(self, row: Any) -> Verdict:
        from math_verify import parse, verify

        logging.getLogger("math_verify").setLevel(logging.ERROR)
        gold = parse(row["answer"]) if "$" in row["answer"] else parse(f"${row['answer']}$")
        return Verdict(verify(gold, parse(row["response"] or "")), "")


def traces(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a trace file that have a gold answer."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["gold"] is not None:
                response = split_thinking(row["response"]).response
                yield {"source": row["source"], "question": row["question"], "answer": str(row["gold"]),
                       "response": response, "label": row["label"], "id": row["id"]}  # fmt: skip


def pairs(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of labelled answers, but for the sentences that only a judge can read."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["kind"] == "semantic_answer":
                continue
            said = row["response_or_answer"]
            response = f"\\boxed{{{said}}}" if row["kind"] == "math_answer" and "boxed" not in said else said
            yield {"source": row["source"], "question": row.get("question") or "", "answer": row["gold"],
                   "response": response, "label": row["label"], "id": row["id"]}  # fmt: skip


def judged(pool: Pool, step: Step, rows: Rows) -> list[Verdict]:
    """One verdict a row, in order; what the pool cut off abstains with the pool's reason."""
    out: list[Verdict] = [Verdict(None, "lost")] * len(rows)
    for index, value in pool.map(step, rows):
        out[index] = Verdict(None, value.why) if isinstance(value, Abstained) else value
    return out


def routed(pool: Pool, rows: Rows) -> tuple[list[Verdict], float]:
    """Our verdicts, and the seconds they took."""
    began = time.monotonic()
    answers = [judged(pool, step, rows) for step in (Choice(), MathEqual(), Exact())]
    first = [
        next((v for v in three if not v.why.startswith("unsupported")), three[-1])
        for three in zip(*answers, strict=True)
    ]
    return first, time.monotonic() - began


def peers(pool: Pool, rows: Rows) -> tuple[list[Verdict], float]:
    """Math-Verify's verdicts, and the seconds they took."""
    began = time.monotonic()
    return judged(pool, PlainMathVerify(), rows), time.monotonic() - began


COLUMNS = (
    "source", "rows", "labelled", "ours agree %", "ours of decided %", "ours abstain %",
    "Math-Verify agree %", "its hard timeouts", "same %", "ours rows/s", "Math-Verify rows/s",
)  # fmt: skip


def line(
    source: str, rows: Rows, ours: tuple[list[Verdict], float], theirs: tuple[list[Verdict], float]
) -> str:
    """One line of the table."""
    labelled = [i for i, row in enumerate(rows) if row["label"] is not None]

    decided = [i for i in labelled if ours[0][i].passed is not None]

    def share(hits: Iterable[bool], of: int) -> str:
        return f"{100 * sum(hits) / of:.2f}" if of else "-"

    mine, other = ours[0], theirs[0]
    cells = [
        source, len(rows), len(labelled),
        share((mine[i].passed is rows[i]["label"] for i in labelled), len(labelled)),
        share((mine[i].passed is rows[i]["label"] for i in decided), len(decided)),
        share((v.passed is None for v in mine), len(rows)),
        share((other[i].passed is rows[i]["label"] for i in labelled), len(labelled)),
        sum(v.passed is None for v in other),
        share((a.passed is b.passed for a, b in zip(mine, other, strict=True)), len(rows)),
        f"{len(rows) / ours[1]:.0f}", f"{len(rows) / theirs[1]:.0f}",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def table(files: list[Path], load: Any, most: int | None, pool: Pool) -> None:
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}", flush=True)
    for path in files:
        by_source: dict[str, Rows] = defaultdict(list)
        for row in load(path):
            if most is None or len(by_source[row["source"]]) < most:
                by_source[row["source"]].append(row)
        for source, rows in sorted(by_source.items()):
            print(line(source, rows, routed(pool, rows), peers(pool, rows)), flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--rows", type=int, help="so many rows of each source")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with Pool(workers=args.workers) as pool:
        judged(
            pool, PlainMathVerify(), [{"response": "$1$", "answer": "1"}] * 2 * args.workers
        )  # imports are not timed
        for folder, ending, load in (("traces", "jsonl.gz", traces), ("verify", "jsonl", pairs)):
            table(
                sorted(f for f in (args.data / folder).glob(f"*.{ending}") if args.only in f.name),
                load,
                args.rows,
                pool,
            )


if __name__ == "__main__":
    main()

"""How often our verdicts agree with the labels of real traces, beside Math-Verify called as its users do.

    python benchmarks/verdicts_on_real_traces.py [--data FOLDER] [--only NAME] [--rows N] [--workers N]

The data is a folder with `traces/*.jsonl.gz` (CURATE_DATA, else ../shared/data). Both judges see the same
text (the response without its thinking) in the same killable processes. Ours is what `curate_traces` does:
Choice, MathEqual, Exact, and the first that does not call the gold unsupported decides. Math-Verify is asked
as in benchmarks/verifiers.py, which has more graders on rows made for them; it is killed after 30 s.

Columns: "agree" is the share of labelled rows with the label's verdict, an abstention being no agreement;
"of decided" is the same of the rows that we decided; "same" is the share of rows with one verdict from both.
Labels are as the sources have them, mistakes included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.graders import MathVerify
from peers.judging import Part, Rows, judged
from peers.machine import facts

from curate.pool import Pool
from curate.text import split_thinking
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual

ROOT = Path(__file__).resolve().parent.parent


def traces(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a trace file that have a gold answer."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["gold"] is not None:
                response = split_thinking(row["response"]).response
                yield {"source": row["source"], "question": row["question"], "answer": str(row["gold"]),
                       "response": response, "label": row["label"], "id": row["id"]}  # fmt: skip


def routed(pool: Pool, rows: Rows) -> Part:
    """Our verdicts: of each row's three, the first that is not unsupported."""
    parts = [judged(pool, step, rows) for step in (Choice(), MathEqual(), Exact())]
    first = [
        next((one for one in three if not one.why.startswith("unsupported")), three[-1])
        for three in zip(*(part.rows for part in parts), strict=True)
    ]
    return Part(first, sum(part.wall for part in parts), [])


COLUMNS = (
    "source", "rows", "labelled", "ours agree %", "ours of decided %", "ours abstain %",
    "Math-Verify agree %", "its hard timeouts", "same %", "ours rows/s", "Math-Verify rows/s",
)  # fmt: skip


def line(source: str, ours: Part, theirs: Part) -> str:
    """One line of the table."""

    def share(hits: Iterable[bool]) -> str:
        found = list(hits)
        return f"{100 * sum(found) / len(found):.2f}" if found else "-"

    mine, other = ([one for one in part.rows if one.label is not None] for part in (ours, theirs))
    cells = [
        source, len(ours.rows), len(mine),
        share(one.passed is one.label for one in mine),
        share(one.passed is one.label for one in mine if one.passed is not None),
        share(one.passed is None for one in ours.rows),
        share(one.passed is one.label for one in other),
        len(theirs.cut_off),
        share(a.passed is b.passed for a, b in zip(ours.rows, theirs.rows, strict=True)),
        *(f"{len(part.rows) / part.wall:.0f}" for part in (ours, theirs)),
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def table(files: list[Path], most: int | None, pool: Pool) -> None:
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}", flush=True)
    for path in files:
        by_source: dict[str, Rows] = defaultdict(list)
        for row in traces(path):
            if most is None or len(by_source[row["source"]]) < most:
                by_source[row["source"]].append(row)
        for source, rows in sorted(by_source.items()):
            print(line(source, routed(pool, rows), judged(pool, MathVerify(), rows)), flush=True)


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
    files = sorted(f for f in (args.data / "traces").glob("*.jsonl.gz") if args.only in f.name)
    print(facts("math-verify", "sympy") + "\n", flush=True)
    with Pool(workers=args.workers) as pool:
        warm = [{"response": "$1$", "answer": "1", "label": True}] * 2 * args.workers
        judged(pool, MathVerify(), warm)  # imports are not timed
        table(files, args.rows, pool)


if __name__ == "__main__":
    main()

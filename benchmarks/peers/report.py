"""The tables of the benchmark of verifiers: what was judged becomes columns, and columns become markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from peers.hostile import EVALUATED, Survived
from peers.judging import Part

LATE_S = 5.5  # our limit and half a second


Parts = dict[str, dict[str, Part]]  # grader → source → what it said

NUMBERS = (
    "rows", "accuracy %", "precision %", "recall %", "abstained", "rows/s", "in process rows/s",
    "p50 ms", "p99 ms", "worst ms", "hung",
)  # fmt: skip


def numbers(parts: Iterable[Part]) -> dict[str, float | None]:
    """The columns of the table, of one source or of several."""
    parts = list(parts)
    rows = [row for part in parts for row in part.rows]
    hits = sum(row.passed is row.label for row in rows)
    said, true = sum(row.passed is True for row in rows), sum(row.label for row in rows)
    both = sum(row.passed is True and row.label for row in rows)
    ms = sorted(1000 * row.seconds for row in rows)
    values = (
        len(rows), 100 * hits / len(rows), 100 * both / said if said else None,
        100 * both / true if true else None, sum(row.passed is None for row in rows),
        len(rows) / sum(part.wall for part in parts), 1000 * len(rows) / max(sum(ms), 1e-9),
        statistics.median(ms), ms[min(len(ms) - 1, int(len(ms) * 0.99))], ms[-1],
        sum(row.seconds > LATE_S for row in rows),
    )  # fmt: skip
    return dict(zip(NUMBERS, values, strict=True))


def table(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A markdown table; whole numbers and large ones without decimals."""

    def cell(value: Any) -> str:
        if value is None:
            return "–"
        if isinstance(value, float):
            return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}" if value == 100 else f"{value:.0f}"
        return str(value)

    rows = [list(head), *([cell(v) for v in line] for line in lines)]
    rows.insert(1, ["---"] + ["---:"] * (len(rows[0]) - 1))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def report(parts: Parts, semantic: Parts, hostile: dict[str, Survived]) -> str:
    """All tables, as markdown."""
    graders = list(parts)
    beside = [g for g in graders if not g.startswith("ours, bare")]
    sources = list(parts[graders[0]])
    total = {g: numbers(parts[g].values()) for g in graders}
    unsafe = {g: f"{hostile[g].evaluated} of {len(EVALUATED)}" for g in beside}
    text = ["### All rows that rules can decide"]
    text.append(table(["grader", *NUMBERS, "unsafe"], ([g, *total[g].values(), unsafe[g]] for g in beside)))
    text.append("### Accuracy by source, per cent")
    hits = {g: {s: numbers([parts[g][s]])["accuracy %"] for s in sources} for g in graders}
    sizes = {s: len(part.rows) for s, part in parts[graders[0]].items()}
    lines = ([s, sizes[s], *(hits[g][s] for g in graders)] for s in sources)
    text.append(table(["source", "rows", *graders], lines))
    text.append(
        "`ours, bare` is ours again, where an answer is given without a box, as the files have it.\n\n"
        "### Hostile texts"
    )
    text.append(table(["grader", *Survived._fields], ([g, *hostile[g]] for g in beside)))
    text.append("evaluated: the text ran as Python. hung: longer than 5.5 s. killed: cut off from outside.")
    if semantic:
        text.append("### Sentences, which are for a judge")
        lines = ([g, *numbers(semantic[g].values()).values()] for g in beside)
        text.append(table(["grader", *NUMBERS], lines))
    for g in beside:
        text.append(f"### {g}, by source")
        text.append(table(["source", *NUMBERS], ([s, *numbers([parts[g][s]]).values()] for s in sources)))
    return "\n\n".join(text)

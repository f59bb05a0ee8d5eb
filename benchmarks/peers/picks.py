"""Teachers beside their whole students: which sign picks the teacher whose students are best."""

from __future__ import annotations

import statistics

import polars as pl
from peers.report import table
from peers.students import Arms, per_cent, points

SIGNS: dict[str, tuple[str, bool]] = {
    "the report: gain in the smoke test": ("gain", True),
    "the teacher's own accuracy": ("own_accuracy", True),
    "lowest perplexity under the student": ("perplexity", False),
    "lowest entropy under the student": ("entropy", False),
    "shortest traces": ("tokens", False),
}


def teachers_table(reports: list[pl.DataFrame], arms: Arms) -> str:
    """A line for each teacher: what the reports say of it, and its whole students."""
    head = ["teacher", "own accuracy", "perplexity", "entropy", "gain in the smoke test, points",
            "traces", "tokens a trace", "tokens trained on", "accuracy of the whole student"]  # fmt: skip
    lines = []
    for name, students in arms.items():
        mine = pl.concat([r.filter(pl.col("teacher") == name) for r in reports])
        signs = [statistics.mean(mine[c]) for c in ("own_accuracy", "perplexity", "entropy")]
        size = [
            statistics.mean(getattr(s, c) for s in students) for c in ("traces", "tokens_a_trace", "learnt")
        ]
        cells = [f"{signs[0]:.0%}", f"{signs[1]:.2f}", f"{signs[2]:.2f}", points(mine["gain"].to_list())]
        cells += [f"{n:,.0f}" for n in size]
        lines.append([name, *cells, per_cent([s.accuracy for s in students])])
    return table(head, sorted(lines, key=lambda line: float(line[-1].partition("%")[0]), reverse=True))


def picks_table(reports: list[pl.DataFrame], arms: Arms) -> str:
    """For each sign: how often it picks the teacher with the best students, and what a wrong pick costs."""
    after = {name: statistics.mean(s.accuracy for s in students) for name, students in arms.items()}
    best = max(after, key=lambda name: after[name])
    lines = []
    for what, (column, largest) in SIGNS.items():
        picks = [r.sort(column, "teacher", descending=[largest, False])["teacher"][0] for r in reports]
        lost = statistics.mean(after[best] - after[p] for p in picks)
        lines.append([what, f"{picks.count(best)} of {len(picks)}", f"{100 * lost:.1f}", ", ".join(picks)])
    return table(["picked by", f"picks {best}", "points lost by the pick", "picks, seed by seed"], lines)

"""A few traces of a run, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.picture import TEXTS, spans_of, trace_text
from curate.run import Run
from curate.stages import kind_of_reason

SHOWN = 1_500  # characters of each text on the screen; what is left out is counted
REASONS = 10
RULE = "\n" + "─" * 100 + "\n"
ORIGINS = {
    "teacher": 42, "student": 43, "common": 0, "shared": 0, "boosted": 44, "boosted_down": 45, "unscored": 2,
}  # fmt: skip
"""The labels of `provenance`, and the terminal's number for the colour of each."""


def look(
    run: Run, *, dropped: bool = False, provenance: bool = False, colour: bool = False, k: int = 3
) -> str:
    """The first k live traces, or the first k dropped ones of each of the ten most frequent reasons.

    provenance: those that have one, with their sentences marked by origin; in colours, where `colour` is set.
    """
    if k < 1:
        raise UserError(f"k={k} traces cannot be shown; ask for 1 or more")
    traces = run.dropped if dropped else run.traces
    if provenance:
        if "provenance" not in traces.collect_schema():
            raise UserError(f"{run.folder} has no column provenance; put Provenance() into the pipeline")
        traces = traces.filter(pl.col("provenance").is_not_null())
    table, more = _of_each_reason(traces, k) if dropped else (traces.head(k).collect(), "")
    if table.is_empty():
        scored = " with a provenance" if provenance else ""
        return f"{run.folder}: no {'dropped' if dropped else 'live'} rows{scored}"
    shown = []
    for row in table.iter_rows(named=True):
        short, spans = _cut(row, row["provenance"] if provenance else spans_of(row))
        shown.append(trace_text(short, spans, _painted if provenance and colour else None))
    legend = "  ".join(_painted(label, label) for label in ORIGINS) + "\n"
    return (legend if provenance and colour else "") + RULE.join([*shown, more] if more else shown)


def _of_each_reason(dropped: pl.LazyFrame, k: int) -> tuple[pl.DataFrame, str]:
    """k rows of each of the most frequent reasons, the most frequent first; and a line on the others.

    Reasons are alike that begin with the same words: "math_equal: different" is one, whatever was different.
    """
    by = ["dropped_by", "kind"]
    told = dropped.with_columns(kind=kind_of_reason().str.extract(r"^((?:\w+: )?[^:]*)"))
    counted = told.group_by(by).agg(rows=pl.len()).sort("rows", *by, descending=[True, False, False])
    kinds = counted.with_row_index("place").collect()
    some = told.filter(pl.int_range(pl.len()).over(by) < k)
    table = some.join(kinds.lazy().head(REASONS), on=by).sort("place", maintain_order=True)
    rest = kinds[REASONS:]
    more = (
        f"{rest['rows'].sum():,} more rows went for {len(rest):,} rarer reasons; to count them: "
        "curate sql RUN 'select dropped_by, why, count(*) from dropped group by all order by 3 desc'"
    )
    return table.drop("kind", "rows", "place").collect(), more if len(rest) else ""


def _painted(label: str, text: str) -> str:
    return f"\x1b[{ORIGINS[label]}m{text}\x1b[0m"


def _cut(
    row: Mapping[str, Any], spans: list[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row with the middle of long texts left out, and the spans where they stand in what is left."""
    short, moved, half = dict(row), [dict(s) for s in spans if s["field"] not in TEXTS], SHOWN // 2
    for name in TEXTS:
        text, mine = row[name], [s for s in spans if s["field"] == name]
        if text is None or len(text) <= SHOWN:
            moved += [dict(s) for s in mine]
            continue
        gap, tail = f"\n[… {len(text) - 2 * half:,} characters not shown …]\n", len(text) - half
        short[name] = text[:half] + gap + text[tail:]
        for span in mine:
            moved += [{**span, **at} for at in _pieces(span, half, tail, half + len(gap) - tail)]
    return short, moved


def _pieces(span: Mapping[str, Any], head: int, tail: int, shift: int) -> Iterator[dict[str, int]]:
    """What is left of a span where the characters from head to tail are not shown."""
    if span["start"] < head:
        yield {"start": span["start"], "end": min(span["end"], head)}
    if span["end"] > tail:
        yield {"start": max(span["start"], tail) + shift, "end": span["end"] + shift}

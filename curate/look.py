"""A few traces of a run, as text for a terminal."""

from __future__ import annotations

import textwrap
from typing import Any

import polars as pl

from curate.run import Run
from curate.schema import ROW, VERDICT

SHOWN = 1_500  # characters of each text on the screen; what is left out is counted


def look(run: Run, *, dropped: bool = False, k: int = 3) -> str:
    """The first k live traces, or, for each reason of a drop, the first k dropped ones."""
    if dropped:
        reason = pl.col("why").str.replace_all(r"[0-9][0-9,.]*", "#")
        table = run.dropped.filter(pl.int_range(pl.len()).over("dropped_by", reason) < k).collect()
    else:
        table = run.traces.head(k).collect()
    if table.is_empty():
        return f"{run.folder}: no {'dropped' if dropped else 'live'} rows"
    return "\n\n".join(picture(row) for row in table.iter_rows(named=True))


def picture(row: dict[str, Any]) -> str:
    """One row: where it comes from, what was asked, thought and answered, and every verdict on it."""
    ids = " · ".join(str(row[c]) for c in ("trace_id", "model", "source", "source_id") if row.get(c))
    lines = ["─" * 100, ids]
    if row.get("dropped_by"):
        lines.append(f"dropped by {row['dropped_by']}: {row['why']}")
    for name in ("question", "thinking", "response", "answer"):
        if row.get(name) is not None:
            lines += [f"{name}:", textwrap.indent(_cut(row[name]), "    ")]
    tokens = row.get("output_tokens")
    lines.append(f"finish {row['finish'] or 'unknown'}, {'unknown' if tokens is None else tokens} output tokens")
    for name, value in row.items():
        if isinstance(value, dict) and set(value) == {f.name for f in VERDICT.fields}:
            mark = {True: "passed", False: "failed", None: "abstains"}[value["passed"]]
            lines.append(f"{name}: {mark} ({value['why']}; found {value['extracted']!r})")
        elif name not in ROW and name not in ("dropped_by", "why") and value is not None:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _cut(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    half = SHOWN // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters not shown …]\n{text[-half:]}"

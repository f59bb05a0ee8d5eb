"""A few traces of a run, as text for a terminal."""

from __future__ import annotations

import polars as pl

from curate.errors import UserError
from curate.picture import TEXTS, trace_text
from curate.run import Run
from curate.stages import kind_of_reason

SHOWN = 1_500  # characters of each text on the screen; what is left out is counted
RULE = "\n" + "─" * 100 + "\n"


def look(run: Run, *, dropped: bool = False, k: int = 3) -> str:
    """The first k live traces, or, for each reason of a drop, the first k dropped ones."""
    if k < 1:
        raise UserError(f"k={k} traces cannot be shown; ask for 1 or more")
    if dropped:
        nth = pl.int_range(pl.len()).over("dropped_by", kind_of_reason())
        table = run.dropped.filter(nth < k).collect()
    else:
        table = run.traces.head(k).collect()
    if table.is_empty():
        return f"{run.folder}: no {'dropped' if dropped else 'live'} rows"
    rows = table.iter_rows(named=True)
    return RULE.join(
        trace_text({**row, **{c: _cut(row[c]) for c in TEXTS if row[c] is not None}}) for row in rows
    )


def _cut(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    half = SHOWN // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters not shown …]\n{text[-half:]}"

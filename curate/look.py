"""A few traces of a run, and what rewriters made of them: text for a terminal, a picture in Jupyter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from typing import Any

import polars as pl

from curate.beside import beside
from curate.errors import UserError
from curate.picture import ORIGINS, TEXTS, Picture, spans_of, trace_html, trace_text
from curate.run import Run
from curate.schema import REWRITTEN
from curate.searched import search_tree
from curate.stages import kind_of_reason

SHOWN = 1_500  # characters of each text on the screen; what is left out is counted
REASONS = 10
RULE = "\n" + "─" * 100 + "\n"


def look(
    run: Run,
    *,
    dropped: bool = False,
    provenance: bool = False,
    trace: str | None = None,
    colour: bool = False,
    k: int = 3,
) -> Picture:
    """The first k live traces, or the first k dropped ones of each of the ten most frequent reasons.

    provenance: those that have one, with their sentences marked by origin; in colours, where `colour` is set.
    trace: those whose id, or whose parent's, is this or begins so, live or dropped. In a terminal the
    middle of a long text is left out, and counted.
    """
    traces = _rows(run, dropped, trace, k)
    if provenance:
        if "provenance" not in traces.collect_schema():
            raise UserError(
                f"{run.folder} has no column provenance: teacher_guided_selection makes it, or in a pipeline "
                "TokenLogprobs and SentenceLogprob of both models, then Provenance(), as in docs/scores.md"
            )
        traces = traces.filter(pl.col("provenance").is_not_null())
    table, more = _of_each_reason(traces, k) if dropped else (traces.head(k).collect(), "")
    if table.is_empty():
        scored = " with a provenance" if provenance else ""
        said = f"{run.folder}: no {_which(dropped, trace)} rows{scored}"
        return Picture(said, f"<div>{escape(said)}</div>")
    shown = []
    for row in table.iter_rows(named=True):
        spans = row["provenance"] if provenance else spans_of(row)
        text = trace_text(*_cut(row, spans), _painted if provenance and colour else None)
        shown.append(Picture(text, trace_html(row, spans)))
    together, legend = _together(shown, more), "  ".join(_painted(label, label) for label in ORIGINS) + "\n"
    return replace(together, text=legend + together.text) if provenance and colour else together


def diff(
    run: Run,
    *,
    dropped: bool = False,
    trace: str | None = None,
    colour: bool = False,
    width: int = 100,
    k: int = 3,
) -> Picture:
    """The first k children of rewriters that live, or that were dropped, each beside its parent.

    trace: those of this id, or whose parent's is this, or begins so. width: of the terminal, in characters.
    """
    children = _rows(run, dropped, trace, k).filter(pl.col("parent_id").is_not_null())
    parents = run.dropped.filter(pl.col("why") == REWRITTEN)
    ids = children.select("trace_id", "parent_id").unique("trace_id", maintain_order=True).collect()
    if ids.is_empty():
        raise UserError(_no_child(run, dropped, trace))
    here = parents.select(parent_id="trace_id").unique().collect()
    pairs = ids.join(here, on="parent_id", how="semi", maintain_order="left")
    if pairs.is_empty():
        child, parent = ids.row(0)
        raise UserError(
            f"{run.folder} has no trace {parent!r}, of which {child!r} was made; look into the run that "
            "rewrote it"
        )
    shown = [
        beside(_row(parents, parent), _row(children, child), colour=colour, width=width)
        for child, parent in pairs.head(k).rows()
    ]
    lost = len(ids) - len(pairs)
    more = f"{lost:,} more were made of traces that are not in this run" if lost else ""
    return _together(shown, more)


def tree(
    run: Run, *, dropped: bool = False, trace: str | None = None, colour: bool = False, k: int = 3
) -> Picture:
    """The search in the first k live traces in which there was one, or in dropped ones, each as a tree.

    trace: in those of this id, or whose parent's is this, or begins so.
    """
    rows = _rows(run, dropped, trace, k)
    if "retro_events" not in rows.collect_schema():
        raise UserError(f"{run.folder} has no column retro_events; put RetroSearch(...) into the pipeline")
    tried = pl.col("retro").is_not_null() if trace else pl.col("retro_events").list.len() > 0
    found = rows.filter(tried).head(k).collect()
    if found.is_empty():
        which = f"{_which(dropped, trace)} trace" + (f" {trace!r}" if trace else "")
        raise UserError(f"{run.folder} has no {which} that was searched; its column retro says why")
    return _together([search_tree(row, colour=colour) for row in found.iter_rows(named=True)])


def _no_child(run: Run, dropped: bool, trace: str | None) -> str:
    others = (run.traces if dropped else run.dropped).filter(pl.col("parent_id").is_not_null(), _named(trace))
    if n := others.select(pl.len()).collect().item():
        remedy = f"{n:,} are {_which(not dropped)}: look at them {'without' if dropped else 'with'} --dropped"
    elif trace is not None:
        return f"no rewriter of {run.folder} made the trace {trace!r}, or another of it; it is as it was born"
    else:
        remedy = "put a rewriter into the pipeline (curate list rewriters)"
    of = "" if trace is None else f" of {trace!r}"
    return f"{run.folder} has no {_which(dropped)} trace that a rewriter made{of}; {remedy}"


def _which(dropped: bool, trace: str | None = None) -> str:
    return "dropped" if dropped else "live" if trace is None else "live or dropped"


def _named(trace: str | None) -> pl.Expr:
    """Whether a row's id or its parent's begins so."""
    return pl.any_horizontal(pl.col("trace_id", "parent_id").str.starts_with(trace or ""))


def _rows(run: Run, dropped: bool, trace: str | None, k: int) -> pl.LazyFrame:
    """Live rows or dropped ones; those of one id, or of one parent's, from both."""
    if k < 1:
        raise UserError(f"k={k} traces cannot be shown; ask for 1 or more")
    if trace is None:
        return run.dropped if dropped else run.traces
    both = [run.dropped] if dropped else [run.traces, run.dropped]
    rows = pl.concat(both, how="diagonal_relaxed").filter(_named(trace))
    if rows.head(1).collect().is_empty():
        raise UserError(
            f"{run.folder} has no {'dropped ' if dropped else ''}trace whose id begins with {trace!r}; for "
            f"the ids: curate sql {run.folder} 'select trace_id from {'dropped' if dropped else 'live'}'"
        )
    return rows


def _row(frame: pl.LazyFrame, trace_id: str) -> dict[str, Any]:
    return frame.filter(pl.col("trace_id") == trace_id).head(1).collect().row(0, named=True)


def _together(pictures: list[Picture], more: str = "") -> Picture:
    texts, html = [p.text for p in pictures], [p.html for p in pictures]
    return Picture(RULE.join([*texts, more] if more else texts), "<hr>".join([*html, more] if more else html))


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
    return f"\x1b[{ORIGINS[label][0]}m{text}\x1b[0m"


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

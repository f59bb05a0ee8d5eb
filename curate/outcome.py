"""What the answers of a door mean for the table: births, children, and rows set aside for them."""

from __future__ import annotations

from collections.abc import Set

import polars as pl

from curate.sample import Sample
from curate.schema import MAKE_A_TRACE, REWRITTEN, SAMPLED, SPANS, content_hash
from curate.step import Rewriter, Step


def outcome(
    step: Step, ok: pl.LazyFrame, before: pl.LazyFrame, measured: Set[str]
) -> tuple[pl.LazyFrame, list[pl.LazyFrame]]:
    """What the values of a door mean for the table: (live rows, rows set aside)."""
    if isinstance(step, Sample):
        problems = before.filter(pl.col("trace_id").is_null())
        problems = problems.with_columns(dropped_by=pl.lit(step.name), why=pl.lit(SAMPLED))
        columns = before.collect_schema()
        born = with_trace_id(step.births(ok)).select(pl.col(c).cast(t) for c, t in columns.items())
        return pl.concat([before.filter(pl.col("trace_id").is_not_null()), born]), [problems]
    if isinstance(step, Rewriter):
        has_child = pl.col("child").is_not_null()
        more = [c for c in step.writes if c != "child"]  # of the search, not of the text: of the child, too
        parents = ok.filter(has_child).drop("child", *more)
        parents = parents.with_columns(dropped_by=pl.lit(step.name), why=pl.lit(REWRITTEN))
        names = list(dict.fromkeys([*before.collect_schema(), *more]))
        measured = measured - set(more)
        if step.owners:
            return _children(_owned(ok), list(dict.fromkeys([*names, "spans"])), measured), [parents]
        return _children(ok, names, {*measured, *({"spans"} & set(names))}), [parents]
    return ok, []


def _owned(frame: pl.LazyFrame) -> pl.LazyFrame:
    """With the spans of the children; a row that stays keeps those it has."""
    mine = pl.col("child").struct.field("spans")
    theirs = pl.col("spans") if "spans" in frame.collect_schema() else pl.lit(None, SPANS)
    return frame.with_columns(spans=pl.when(pl.col("child").is_not_null()).then(mine).otherwise(theirs))


def _children(frame: pl.LazyFrame, columns: list[str], measured: Set[str]) -> pl.LazyFrame:
    """Each row that has a child becomes it: new text, new ids, verdicts and scores (`measured`) empty."""
    child, has_child = pl.col("child").struct, pl.col("child").is_not_null()
    fields = ("thinking", "response", "output_tokens")
    texts = [pl.when(has_child).then(child.field(f)).otherwise(pl.col(f)).alias(f) for f in fields]
    empty = [pl.when(has_child).then(None).otherwise(pl.col(c)).alias(c) for c in ("finish", *measured)]
    parent = pl.when(has_child).then(pl.col("trace_id")).otherwise(pl.col("parent_id")).alias("parent_id")
    born = with_trace_id(frame.with_columns(*texts, *empty, parent, was=pl.col("trace_id")))
    new_id = pl.when(has_child).then(pl.col("trace_id")).otherwise(pl.col("was")).alias("trace_id")
    return born.with_columns(new_id).select(columns)


def with_trace_id(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Give every row the `schema.trace_id` of it."""

    def ids(rows: pl.Series) -> pl.Series:
        columns = [rows.struct.field(name).to_list() for name in MAKE_A_TRACE]  # no dictionary for each row
        found = [content_hash("trace", *parts) for parts in zip(*columns, strict=True)]
        return pl.Series("trace_id", found, dtype=pl.String)

    value = pl.struct(MAKE_A_TRACE).map_batches(ids, return_dtype=pl.String, is_elementwise=True)
    return frame.with_columns(trace_id=value)

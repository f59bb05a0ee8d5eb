"""A list of steps, walked: free steps are fused into one lazy plan, paying steps are doors between plans.

The walk keeps two promises. Rows are only born (sampled, rewritten) or set aside with a reason, and it counts
them at every door; and the order of rows is that of the input, so that the same answers give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.ahead import Way
from curate.columns import Function, expression, role, step_name
from curate.errors import RunError
from curate.outcome import outcome
from curate.parts import count, sink
from curate.remember import Memory, with_key
from curate.sample import Sample
from curate.schema import ROW
from curate.step import Filter, Rewriter, Score, Step, Verifier

CONTENT = ("problem_id", "trace_id", "parent_id", "question", "answer", "thinking", "response")
FUNNEL: dict[str, Any] = {
    "step": pl.String,
    "role": pl.String,
    "rows_in": pl.Int64,
    "rows_out": pl.Int64,
    "born": pl.Int64,
    "dropped": pl.Int64,
    "reasons": pl.List(pl.Struct({"why": pl.String, "rows": pl.Int64})),
}


class Pending(NamedTuple):
    """A step that is part of the plan but not yet run."""

    step: Step | Function
    before: pl.LazyFrame
    gone: pl.LazyFrame | None = None  # rows it sets aside, with dropped_by and why
    born: int = 0


@dataclass
class Walk:
    """The state between two steps: the live rows as a lazy plan over one file, and everything set aside."""

    memory: Memory
    source: Path  # the file under the plan
    live: pl.LazyFrame
    funnel: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    measured: set[str] = field(default_factory=set)  # columns of verifiers and scores; a child's start empty
    number: int = 0

    def take(self, step: Step | Function, coming: Sequence[Step | Function] = ()) -> None:
        """Go one step further. coming: steps behind it that its rows may go ahead to."""
        if not isinstance(step, Step):
            self._then(step, step(self.live))
        elif step.body == "expr":
            self._expr(step)
        elif step.body == "mark":
            self._mark(step)
        else:
            self.door(step, coming)

    def _then(
        self, step: Step | Function, live: pl.LazyFrame, gone: pl.LazyFrame | None = None, born: int = 0
    ) -> None:
        self.pending.append(Pending(step, self.live, gone, born))
        self.live = live

    def _expr(self, step: Step) -> None:
        frame = expression(step, self.live)
        if not isinstance(step, Filter):
            self.measured |= set(frame.collect_schema()) - set(self.live.collect_schema())
        self._set_aside(step, frame) if isinstance(step, Filter) else self._then(step, frame)

    def _set_aside(self, step: Step, marked: pl.LazyFrame) -> None:
        gone = marked.filter(pl.col("why").is_not_null()).with_columns(dropped_by=pl.lit(step.name))
        self._then(step, marked.filter(pl.col("why").is_null()).drop("why"), gone)

    def _mark(self, step: Step) -> None:
        """A step over the whole table sees only the columns it reads; the texts stay on disk.

        A filter marks the rows that go; a verifier or a score answers its columns, which are
        null in the rows it does not name.
        """
        self.close()
        rows, columns = self.live.with_row_index("row"), step.writes or {"why": pl.String}
        path = self.memory.scratch / f"{self.number:03d}.marks.parquet"
        dtypes = pl.Schema({"row": pl.UInt32, **columns})
        try:
            marks = step.mark(rows.select("row", *step.columns))  # type: ignore[attr-defined]
            _check_marks(step, marks.collect_schema(), dtypes)
        except pl.exceptions.ColumnNotFoundError as e:
            words, given = str(e).splitlines()[0].partition(";")[0], ", ".join(("row", *step.columns))
            raise RunError(
                f"the mark of {step.name} uses a column that is not there: {words}; it is given the columns "
                f"that `reads` and `columns` name: {given}"
            ) from e
        sink(marks.select(pl.col(c).cast(t) for c, t in dtypes.items()), path).collect()
        rows = rows.drop(list(columns), strict=False)
        marked = rows.join(pl.scan_parquet(path), on="row", how="left", maintain_order="left").drop("row")
        if isinstance(step, Filter):
            return self._set_aside(step, marked)
        self.measured |= set(columns)
        self._then(step, marked)

    def close(self, door: Step | None = None) -> int:
        """Run the plan so far: live rows into one file, dropped rows into others, every step counted.

        For a door, the file also has each row's `key`. Answers the number of live rows.
        """
        if not self.pending and door is None:
            return count(self.source)
        self.number += 1
        target = self.memory.scratch / f"{self.number:03d}.live.parquet"
        gone = [
            target.with_name(f"{self.number:03d}.{i:02d}.dropped.parquet") for i in range(len(self.pending))
        ]
        sinks = [sink(with_key(door, self.live) if door else self.live, target)]
        sinks += [
            sink(p.gone, path) for p, path in zip(self.pending, gone, strict=True) if p.gone is not None
        ]
        frames = [*(p.before for p in self.pending), self.live]
        functions = [i for i, p in enumerate(self.pending) if not isinstance(p.step, Step)]
        content = [_content(frames[i + after]) for i in functions for after in (0, 1)]
        # One plan after the other: where one feeds two sinks, polars holds the whole table for the slower.
        for each in sinks:
            each.collect()
        sums = [f.collect().row(0) for f in content]
        for i, before, after in zip(functions, sums[::2], sums[1::2], strict=True):
            _check_function(step_name(self.pending[i].step), before, after)
        rows = count(self.source)
        self._check_count(rows + sum(p.born for p in self.pending), count(target), gone)
        for p, path in zip(self.pending, gone, strict=True):
            rows = self._counted(p.step, rows, p.born, path if p.gone is not None else None)
        self.pending, self.source, self.live = [], target, pl.scan_parquet(target)
        return rows

    def _check_count(self, before: int, after: int, dropped: list[Path]) -> None:
        aside = sum(count(path) for path in dropped if path.exists())
        if before != after + aside:
            names = ", ".join(step_name(p.step) for p in self.pending)
            raise RunError(
                f"{before} rows went into {names} and {after} live, {aside} dropped came out: an "
                "expression is unstable, or a step marks a row twice"
            )

    def _counted(self, step: Step | Function, rows_in: int, born: int, dropped: Path | None) -> int:
        reasons = _reasons(dropped) if dropped else []
        lost = sum(r["rows"] for r in reasons)
        line = (step_name(step), role(step), rows_in, rows_in + born - lost, born, lost, reasons)
        self.funnel.append(dict(zip(FUNNEL, line, strict=True)))
        if dropped:
            self.dropped.append(dropped)
        return rows_in + born - lost

    def key(self, step: Step) -> Path:
        """The door's input on disk, each row with the key of what this step would be asked about it."""
        if not isinstance(step, Sample):
            self.close(step)
            self.live = self.live.drop("key")
            return self.source
        self.close()
        indices = pl.int_ranges(0, step.asks).alias("sample").cast(pl.List(pl.Int64))
        problems = self.live.filter(pl.col("trace_id").is_null()).with_columns(indices).explode("sample")
        path = self.memory.scratch / "samples.parquet"
        sink(with_key(step, problems), path).collect()
        return path

    def door(self, step: Step, coming: Sequence[Step | Function] = ()) -> None:
        """Answer a paying step's rows from memory, work out the rest; hand on a plan of rows and answers."""
        keyed = self.key(step)
        self.through(step, keyed, self.memory.remember(step, keyed, Way(self, step, keyed, coming)))

    def through(self, step: Step, keyed: Path, answered: pl.LazyFrame) -> None:
        """Go on with the rows of a door as they come out of it: with the step's `writes`, and `why`."""
        joined = answered.drop("key")
        failed = joined.filter(pl.col("why").is_not_null()).with_columns(dropped_by=pl.lit(step.name))
        ok = joined.filter(pl.col("why").is_null()).drop("why")
        if isinstance(step, (Verifier, Score)):
            self.measured |= set(step.writes)
        live, aside = outcome(step, ok, self.live, self.measured)
        if isinstance(step, Sample):
            failed = step.unanswered(failed.drop([c for c in step.writes if c not in ROW]))
            several = step.most > step.asks
            born = _rows(step.births(ok)) + _rows(failed) if several else count(keyed)
        else:
            born = sum(map(_rows, aside))
        if isinstance(step, Rewriter):
            self.measured |= set(step.writes) - {"child"}
        self._then(step, live, pl.concat([*aside, failed], how="diagonal_relaxed"), born)


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _content(frame: pl.LazyFrame) -> pl.LazyFrame:
    """How many rows there are, and a sum that changes with their ids and texts but not with their order."""
    return frame.select(rows=pl.len(), content=(pl.struct(CONTENT).hash() // 2**24).sum())


def _check_marks(step: Step, found: pl.Schema, dtypes: pl.Schema) -> None:
    """A cast would cut off what stands behind the point, and say nothing."""
    for column, dtype in dtypes.items():
        if column not in found:
            names = ", ".join(dtypes)
            raise RunError(f"{step.name} answered no column {column!r}; its mark has to answer {names}")
        if found[column].is_float() and dtype.is_integer():
            raise RunError(
                f"{step.name} answered {found[column]} in the column {column!r}, whose type is {dtype}; its "
                "mark has to answer that"
            )


def _check_function(name: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    if before[0] != after[0]:
        raise RunError(
            f"the function {name} turned {before[0]} rows into {after[0]}; a plain function may not lose or "
            "add rows: set rows aside with a filter, which gives each a reason"
        )
    if before[1] != after[1]:
        raise RunError(
            f"the function {name} changed the ids or texts of rows, or some rows for others; a "
            "plain function may only add columns: a text is changed by a rewriter, which keeps the parent"
        )


def kind_of_reason() -> pl.Expr:
    """`why` with every word that holds a digit as #: reasons that differ in a number or an id are one."""
    return pl.col("why").str.replace_all(r"[\w.,-]*\d[\w.,-]*", "#").alias("why")


def _reasons(dropped: Path) -> list[dict[str, Any]]:
    """How many rows went for each kind of reason; the 20 most frequent, and the rest in one line."""
    found = pl.scan_parquet(dropped).group_by(kind_of_reason()).agg(rows=pl.len().cast(pl.Int64))
    top = found.sort(["rows", "why"], descending=[True, False]).collect().to_dicts()
    rest = sum(r["rows"] for r in top[20:])
    return top[:20] + ([{"why": "other reasons", "rows": rest}] if rest else [])

"""The columns after each step, worked out on no rows, so that a mistake is found before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from curate.errors import InputError, near
from curate.fields import check_engine
from curate.identity import engines
from curate.sample import Sample
from curate.schema import ROW, SPANS, VERDICT
from curate.step import Filter, Rewriter, Score, Step, Verifier

RESERVED = {"why", "key", "row", "child", "was", "dropped_by"}  # columns that a run uses for itself
Function = Callable[[pl.LazyFrame], pl.LazyFrame]
HOLDS: dict[str, Callable[[pl.DataType], bool]] = {
    "numbers": lambda t: t.is_numeric() or t in (pl.Boolean, pl.Null),  # true is 1
    "plain values": lambda t: not t.is_nested(),
    "true and false": lambda t: t in (pl.Boolean, pl.Null),
    "text": lambda t: t in (pl.String, pl.Null),
    "verdicts": lambda t: _has(t, "passed", "score", "extracted", "why"),
    "a rewriter's record": lambda t: _has(t, "why") and not _has(t, "passed"),
}
"""What the columns hold that a field of a step names (`Step.takes`), and whether a type does."""


def step_name(step: Step | Function) -> str:
    """The name of a step, or of a plain function."""
    return step.name if isinstance(step, Step) else getattr(step, "__name__", type(step).__name__)


def role(step: Step | Function) -> str:
    """verifier, score, filter, rewriter, sample or function."""
    roles = (
        (Verifier, "verifier"),
        (Score, "score"),
        (Filter, "filter"),
        (Rewriter, "rewriter"),
        (Sample, "sample"),
    )
    return next((name for kind, name in roles if isinstance(step, kind)), "function")


def is_door(step: Step | Function) -> bool:
    """Whether this step's work is remembered."""
    return isinstance(step, Step) and step.body in ("row", "ask")


def schema_after(steps: Sequence[Step | Function]) -> list[dict[str, Any]]:
    """The schema after each step, worked out on no rows.

    InputError names a column that nobody writes, UserError an engine that lacks what it is recorded by.
    """
    frame, out = pl.LazyFrame(schema=ROW), []
    unread: dict[str, Step] = {}
    for i, step in enumerate(steps):
        have = frame.collect_schema()
        for engine in engines(step).values() if isinstance(step, Step) else ():
            check_engine(engine)
        if isinstance(step, Sample) and any(isinstance(s, Sample) for s in steps[:i]):
            raise InputError(
                "a second Sample finds no problem left to ask; run one pipeline for each teacher"
            )
        try:
            frame = (
                _step_schema(step, frame, have) if isinstance(step, Step) else _function_schema(step, frame)
            )
            after = dict(frame.collect_schema())
        except pl.exceptions.ColumnNotFoundError as e:
            missing = str(e).split("\n")[0]
            raise InputError(
                f"{step_name(step)} uses a column that no step before it writes: {missing}; "
                f"the columns there are: {', '.join(have)}"
            ) from None
        _check_unread(step, unread)
        if taken := RESERVED & set(after):
            raise InputError(
                f"{step_name(step)} adds the column {taken.pop()!r}, which a run uses itself; rename it"
            )
        out.append(after)
    return out


def _step_schema(step: Step, frame: pl.LazyFrame, have: pl.Schema) -> pl.LazyFrame:
    if missing := [c for c in step.columns if c not in have]:
        raise InputError(
            f"{step.name} reads the column {missing[0]!r}, which no step before it writes; "
            f"{_meant(missing[0], have)}the columns there are: {', '.join(have)}"
        )
    _check_given(step, have)
    if isinstance(step, Sample):
        return frame
    added = _added(step, frame) if isinstance(step, Score) else step.writes
    if edited := set(added) & set(ROW):
        raise InputError(
            f"{step.name} writes {edited.pop()!r}, a column of the row; no text is ever edited: give it "
            f"a name of its own, where it is an expression with .alias({step.name!r})"
        )
    if isinstance(step, Filter):
        _check_filter(step, frame)
    if step.body == "expr":
        return expression(step, frame).drop("why", strict=False)
    new = {c: t for c, t in step.writes.items() if not (isinstance(step, Rewriter) and c == "child")}
    if isinstance(step, Rewriter) and step.owners:
        new["spans"] = SPANS
    return frame.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in new.items())


def _check_given(step: Step, have: pl.Schema) -> None:
    """A column that a field names holds what the step takes, and none is named for two things."""
    for field, kind in step.takes.items():
        named, holds = getattr(step, field), HOLDS.get(kind)
        if holds is None:
            raise InputError(f"{step.name}: takes[{field!r}] says {kind!r}; there is {', '.join(HOLDS)}")
        for column in named if isinstance(named, list | tuple) else [named]:
            if column is not None and column not in step.columns:
                raise InputError(f"{step.name} takes {column!r} for {field}; name it in `columns`, too")
            if column is not None and not holds(have[column]):
                fit = ", ".join(c for c, t in have.items() if holds(t))
                raise InputError(
                    f"{step.name}: {field} takes a column of {kind}, and {column!r} is of type "
                    f"{have[column].base_type()}; "
                    + (f"such columns are: {fit}" if fit else "no step before it writes such a column")
                )
    if twice := [c for c in step.columns if step.columns.count(c) > 1]:
        raise InputError(
            f"{step.name} is given the column {twice[0]!r} for two things; give it another for one of them"
        )


def _check_unread(step: Step | Function, unread: dict[str, Step]) -> None:
    """No score or verdict takes the place of one that was paid for and that no step has read. The same again
    is wanted; a function may have read anything, and a rewriter's children begin without them."""
    read = unread if not isinstance(step, Step) or isinstance(step, Rewriter) else step.columns
    known = {unread[column].fingerprint for column in read if column in unread}  # who reads one column of it
    for column in [c for c, writer in unread.items() if writer.fingerprint in known]:
        del unread[column]
    if not isinstance(step, Score | Verifier) or step.body != "ask":
        return
    for column in step.writes:
        before = unread.setdefault(column, step)
        if before.fingerprint != step.fingerprint:
            raise InputError(
                f"{step.name} writes the column {column!r} over what another {before.name} wrote and no step "
                "has read; put what reads that before it (`Failed`, `Decided`), give one of the two another "
                "name where it has an `of`, or leave it out"
            )


def _has(t: pl.DataType, *fields: str) -> bool:
    return isinstance(t, pl.Struct) and {f.name for f in t.fields} >= {*fields}


def _added(step: Score, frame: pl.LazyFrame) -> list[str]:
    """The columns that a score adds, as it says; an expression that is given no name has its input's."""
    expr, says = step.body == "expr", step.writes
    if not isinstance(says, Mapping) or not (says or expr):
        raise InputError(
            f"the score {step.name} does not say which columns it adds; give it, with their types, "
            f'writes = {{"{step.name}": pl.Float64}}'
        )
    try:
        types = pl.Schema(says)
    except TypeError:
        raise InputError(
            f"the score {step.name} does not say its types whole: write pl.List(pl.Int64), not pl.List"
        ) from None
    answers = frame.select(step.expr()).collect_schema() if expr else types  # type: ignore[attr-defined]
    if says and set(answers) != set(says):
        raise InputError(
            f"the score {step.name} answers {', '.join(answers)}, and its `writes` names {', '.join(says)}; "
            f"let its expression end in .alias({next(iter(says))!r})"
        )
    for column, dtype in types.items():
        if not _holds_all_of(dtype, answers[column]):
            raise InputError(
                f"the score {step.name} answers {answers[column]} in the column {column!r}, and its `writes` "
                f"says {dtype}; let one of the two be the other's type"
            )
    return answers.names()


def _holds_all_of(wide: pl.DataType, dtype: pl.DataType) -> bool:
    """Whether a cast to `wide` loses nothing and cannot fail."""
    if wide == dtype or dtype == pl.Null:
        return True
    if wide == pl.Int64:
        return dtype in (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
    return wide == pl.Float64 and dtype.is_numeric()


def _check_filter(step: Filter, frame: pl.LazyFrame) -> None:
    """A filter answers a reason for each row that goes: a mask would give "true" and "false" for reasons."""
    if step.body in ("row", "ask"):
        raise InputError(
            f"{step.name} is a filter with a `{step.body}`, and a filter has an `expr` or a `mark`; let a "
            "verifier or a score work it out for each row, and a filter drop by its column"
        )
    if step.body == "expr":
        [answers] = frame.select(step.expr()).collect_schema().dtypes()  # type: ignore[attr-defined]
        if answers not in (pl.String, pl.Null):
            raise InputError(
                f"the filter {step.name} answers {answers}; it answers a reason for a row that goes, null "
                'for one that stays: pl.when(too_long).then(pl.lit("too long"))'
            )


def _function_schema(function: Function, frame: pl.LazyFrame) -> pl.LazyFrame:
    after = function(frame)
    if not isinstance(after, pl.LazyFrame):
        raise InputError(
            f"the function {step_name(function)} answers {type(after).__name__}; a step answers a LazyFrame"
        )
    kept = after.collect_schema()
    if lost := [c for c in frame.collect_schema() if c not in kept]:
        raise InputError(
            f"the function {step_name(function)} drops the column {lost[0]!r}; a function may add them, not "
            "drop them: use with_columns"
        )
    return after


def _meant(name: str, have: Iterable[str]) -> str:
    close = near(name, have)
    return f"{close[:-1]}; " if close.startswith("did you mean") else ""


def expression(step: Step, frame: pl.LazyFrame) -> pl.LazyFrame:
    """A verifier's or score's expression, as columns of its types; a filter's, as the column `why`."""
    value = step.expr()  # type: ignore[attr-defined]
    if isinstance(step, Filter):
        return frame.with_columns(why=value.cast(pl.String))
    if isinstance(step, Verifier):
        return frame.with_columns(value.cast(VERDICT).alias(step.name))
    said = frame.with_columns(value)
    return said.with_columns(pl.col(column).cast(dtype) for column, dtype in step.writes.items())

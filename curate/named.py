"""The columns that a caller of `read` names: by the input's name for them, or by a polars expression."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import polars as pl

from curate import formats
from curate.aliases import COLUMNS
from curate.errors import InputError, near

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def told(given: Any) -> tuple[Any, dict[str, str]]:
    """An input and the columns it names itself: `FILE?question=query`; a path that exists is all path."""
    if not isinstance(given, str) or "?" not in given or Path(given).exists():
        return given, {}
    base, _, query = given.partition("?")
    columns = dict(parse_qsl(query, keep_blank_values=True))
    for column in columns or [query]:
        if column not in COLUMNS:
            raise InputError(f"{given} names no column {column!r} to fill: {near(column, COLUMNS)}")
    return base, columns


def known(given: str | Path | pl.DataFrame | pl.LazyFrame) -> str | pl.LazyFrame:
    """The input as it is kept; a file that is not there is an error now."""
    if isinstance(given, (pl.DataFrame, pl.LazyFrame)):
        return given.lazy()
    path = Path(base := told(given)[0])
    if not path.exists():
        known_ending = formats.is_readable(path)
        if isinstance(given, Path) or known_ending or path.parent.is_dir() or not HUB_ID.fullmatch(base):
            raise formats.missing(path)
    elif path.is_file() and not formats.is_readable(path):
        next(formats.read_file(path))  # says which endings there are
    return str(given)


def needed_by(said: str | pl.Expr) -> list[str]:
    """The columns of the input that a named column is made of; none where that is a constant, or all."""
    return [said] if isinstance(said, str) else said.meta.root_names()


def needs_all(columns: Mapping[str, str | pl.Expr]) -> bool:
    """Whether one of these looks at columns that it does not name: at all that the rows so far had."""
    expressions = [said for said in columns.values() if isinstance(said, pl.Expr)]
    return any(not needed_by(said) and not said.meta.is_literal() for said in expressions)


def values_of(
    columns: Mapping[str, str | pl.Expr], rows: list[dict[str, Any]], names: set[str], where: str
) -> list[dict[str, Any]]:
    """For each row of the input, the values of the columns that were named. names: of all rows so far."""
    out: list[dict[str, Any]] = [{} for _ in rows]
    for target, said in columns.items() if rows else ():
        needed = needed_by(said) or sorted(names)
        if unknown := [name for name in needed if name not in names]:
            have = ", ".join(sorted(names)) or "none"
            raise InputError(f"{target}=…: {where} has no column {unknown[0]!r}; it has {have}")
        if isinstance(said, str):
            values = [row.get(said) for row in rows]
        else:
            values = _evaluate(target, said, rows, needed)
        for mapped, value in zip(out, values, strict=True):
            mapped[target] = value
    return out


def _evaluate(target: str, expr: pl.Expr, rows: list[dict[str, Any]], needed: list[str]) -> list[Any]:
    named = needed or [""]  # rows without any column are as many
    frame = pl.DataFrame([pl.Series(n, [row.get(n) for row in rows], strict=False) for n in named])
    for unknown in (pl.Null, pl.String):  # a batch in which a column is all null has lost the column's type
        try:
            typed = frame.with_columns(pl.col(pl.Null).cast(unknown))
            return typed.with_columns(expr.alias("\0")).get_column("\0").to_list()
        except pl.exceptions.PolarsError as e:
            why = str(e).splitlines()[0]
    if all(dtype == pl.Null for dtype in frame.dtypes):
        return [None] * len(rows)
    raise InputError(f"{target}={expr} fails on this input: {why}")

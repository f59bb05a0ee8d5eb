"""Rows without a gold answer: counted where a verifier needs one, refused where no trace could be kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.aliases import ALIASES
from curate.columns import Function, expression, schema_after
from curate.errors import InputError
from curate.golds import answered
from curate.parts import count
from curate.schema import VERDICT
from curate.step import Filter, Step, Verifier

logger = logging.getLogger(__name__)


def check_answers(steps: Sequence[Step | Function], rows: Path) -> None:
    """Raise InputError where no row has an answer, and so a filter sets every trace aside.

    Where unjudged traces may stay, or something else than a gold judges them, nothing is refused.
    """
    read, without = _counted(rows)
    if read == without and (found := _closed(steps)):
        verifier, by = found
        so = f"{verifier} judges nothing without one, so {by} would drop every trace"
        raise InputError(_none(rows, so))


def check_golds_of(judge: Verifier, rows: Path) -> None:
    """Raise InputError where no row has an answer, and the judge needs one."""
    read, without = _counted(rows)
    if read == without and judge.needs_gold:
        raise InputError(_none(rows, f"{judge.name} judges nothing without one"))


def warn_without_answers(steps: Sequence[Step | Function], rows: Path) -> bool:
    """Say in one sentence how many rows have no answer, where a verifier needs one; whether none has one."""
    read, without = _counted(rows)
    names = dict.fromkeys(s.name for s in steps if isinstance(s, Verifier) and s.needs_gold)
    if without and names:
        so = f"{', '.join(names)} cannot judge their traces"
        few = f"{without:,} of {read:,} rows have no answer: {so}"
        logger.warning(_none(rows, so) if without == read else few)
    return without == read


def _counted(rows: Path) -> tuple[int, int]:
    """How many rows there are, and how many of them have no answer, or an empty one."""
    without = pl.scan_parquet(rows).select(answered().not_().sum()).collect().item()
    return count(rows), int(without)


def _none(rows: Path, so: str) -> str:
    """That no row has an answer, and what may be done. That is most often a column of another name."""
    table = pl.scan_parquet(rows).select("extra").head(100).collect()
    others = {name for extra in table["extra"] for name in json.loads(extra)} - {"delimiters"}
    return (
        f"none of the {count(rows):,} rows read has an answer, and {so}; I looked for the columns "
        f"{', '.join(('answer', *ALIASES['answer']))}, and those not understood are "
        f"{', '.join(sorted(others)) or 'none'}; name the column with answer=…, on the command line as "
        "FILE?answer=…"
    )


def _closed(steps: Sequence[Step | Function]) -> tuple[str, str] | None:
    """A verifier that judges nothing without golds, and a filter behind it that then drops every trace."""
    silent: dict[str, bool] = {}  # verifier → whether it has no verdict on any trace
    for step, have in zip(steps, [{}, *schema_after(steps)], strict=False):
        if isinstance(step, Verifier):
            silent[step.name] = _is_silent(step, silent)
        elif isinstance(step, Filter) and step.body == "expr" and step.columns:
            if all(silent.get(c) for c in step.columns) and _drops(step):
                return step.columns[0], step.name
        elif not isinstance(step, Step):  # it may put another verdict in the place of this one
            silent = {name: told and _leaves(step, name, have) for name, told in silent.items()}
    return None


def _is_silent(verifier: Verifier, silent: dict[str, bool]) -> bool:
    """Whether it abstains on every trace: where it repeats others, these have to be silent, too."""
    others = [silent[c] for c in verifier.columns if c in silent]
    repeats = bool(others) and len(others) == len(verifier.columns)
    return (verifier.needs_gold or repeats) and all(others)


def _drops(step: Filter) -> bool:
    """Whether it gives a reason where nobody had a gold to judge by, and nothing else is known of a row."""
    verdict = dict.fromkeys(VERDICT.to_schema()) | {"why": "no_gold"}
    rows = pl.LazyFrame({c: [verdict] for c in step.columns}, schema=dict.fromkeys(step.columns, VERDICT))
    try:
        return expression(step, rows).select("why").collect().item() is not None
    except pl.exceptions.PolarsError:  # it also looks at a column that it does not name in `reads`
        return False


def _leaves(function: Function, column: str, have: dict[str, Any]) -> bool:
    """Whether the column comes out of a function's plan as it went in."""
    frame = pl.LazyFrame(schema=have)
    return function(frame).select(column).explain() == frame.select(column).explain()

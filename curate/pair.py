"""A verifier called on one pair answers at once, under the limits it has in a run.

Rows go to worker processes that this process keeps warm, within a run to the run's own; a repeated pair is
answered from a bounded cache.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import polars as pl

from curate.errors import UserError, near
from curate.identity import engines, with_engines
from curate.loop import run_async
from curate.pool import Pool, settled
from curate.schema import ROW, VERDICT
from curate.step import Step, Verdict
from curate.worker import dumps

REMEMBERED = 4096  # verdicts
LONGEST = 1 << 14  # bytes of a row; a longer one is judged each time
_OF_RUN: ContextVar[Pool | None] = ContextVar("workers of a run", default=None)


def judge_with(workers: Pool) -> None:
    """What is called from here on, in this asyncio task and those it begins, is judged by these workers."""
    _OF_RUN.set(workers)


def verdict_of(verifier: Step, unnamed: Sequence[Any], given: Mapping[str, Any]) -> Verdict:
    """The verdict on one row; columns that the verifier reads and nobody gave are null.

    Columns of a row that it does not read are let by, so that `verifier(**row)` works. A number is read as
    its text, a list or an object as JSON. Raises UserError for values without a name, for a name that no
    row has, and for a verifier that looks at a whole table.
    """
    if unnamed:
        named = ", ".join(f"{name}=…" for name in verifier.columns)
        raise UserError(
            f"which column is {str(unnamed[0])[:60]!r}? Call it by name: {verifier.name}({named})"
        )
    if unknown := [name for name in given if name not in verifier.columns and name not in ROW]:
        raise UserError(f"no row has a column {unknown[0]!r}: {near(unknown[0], verifier.columns)}")
    row = {name: _as_read(name, given.get(name)) for name in verifier.columns}
    if isinstance(row.get("answer"), bytes):
        return Verdict(None, "gold_invalid: it is bytes, not a text")
    if isinstance(row.get("response"), bytes):
        return Verdict(None, "unsupported: the response is bytes, not a text")
    if verifier.body == "row":
        key = dumps(row)
        if len(key) > LONGEST:
            return _judged(verifier, row)
        try:
            return _repeated(_Asked(verifier, row), key)
        except _Unsure as e:
            return e.verdict
    if verifier.body == "ask":
        return _asked(verifier, row)
    if verifier.body == "expr":
        schema = {name: ROW.get(name, VERDICT) for name in verifier.columns}
        found = pl.DataFrame([row], schema=schema).select(verdict=verifier.expr())  # type: ignore[attr-defined]
        return Verdict(**found.item())
    raise UserError(
        f"{verifier.name} looks at all traces of a problem: put it into a pipeline, not on one pair"
    )


def _as_read(name: str, value: Any) -> Any:
    """The value as a table would hold it."""
    if ROW.get(name) != pl.String or value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, (list, tuple, dict, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


class _Unsure(Exception):
    """A verdict that says more about the moment than about the row, so it is not remembered."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


class _Asked:
    """A question, equal to the same question asked again: of the same class, with the same fields."""

    def __init__(self, step: Step, row: Mapping[str, Any]) -> None:
        self.step, self.row = step, row
        self.same = (type(step), step.fingerprint)  # the class too: a notebook may have defined it anew

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.same == other.same

    def __hash__(self) -> int:
        return hash(self.same)


@lru_cache(REMEMBERED)
def _repeated(asked: _Asked, key: bytes) -> Verdict:
    verdict = _judged(asked.step, asked.row)
    if verdict.passed is None and verdict.why.partition(":")[0] in ("timeout", "memory", "crashed"):
        raise _Unsure(verdict)
    return verdict


def _judged(step: Step, row: Mapping[str, Any]) -> Verdict:
    pool = _OF_RUN.get() or _pool(os.getpid())
    verdict: Verdict = settled(step, pool.run(step, row))
    return verdict


@lru_cache(None)
def _pool(pid: int) -> Pool:
    """The workers of this process; a fork gets its own."""
    pool = Pool()
    atexit.register(pool.close)
    return pool


def _asked(step: Any, row: Mapping[str, Any]) -> Verdict:
    answers: list[Verdict] = []

    async def ask() -> None:
        async with AsyncExitStack() as doors:
            opened = {k: await doors.enter_async_context(e) for k, e in engines(step).items()}
            answers.append(await with_engines(step, opened).ask(row))

    run_async(ask())
    return answers[0]

"""Every problem has each teacher's attempts, one after the other until one is right, each of them a row."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import polars as pl

from curate.errors import UserError
from curate.identity import is_engine, model_name
from curate.sample import Sample
from curate.schema import TRACE, Row
from curate.step import OF_GOLD, Engine, Step, Verifier, user


@dataclass(frozen=True)
class Attempts(Sample):
    """Asks each teacher about each problem, verifies, and asks again, at most n times, until a trace that
    came to its own end passes. All problems and teachers are in flight together: a second attempt joins the
    batch that first attempts are in, nobody waits for a round to end.

    Every attempt is born as a row, `sample` counting those of its problem and model from 0, so the verifier
    and filters that follow set the failed ones aside with a reason: of a problem and model at most one is
    left. Where the gold answer is what keeps the verifier from judging, it is not tried again.

    engine: the teachers, whose models have different names. verifier: one that needs no model.
    """

    engine: tuple[Engine, ...]  # type: ignore[assignment]
    verifier: Verifier = field(kw_only=True)
    n: int = 8
    not_identity: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if not isinstance(self.engine, tuple) or not self.engine or not all(map(is_engine, self.engine)):
            raise UserError(
                f"Attempts needs a tuple of engines, not {self.engine!r}; write (teacher,) for one"
            )
        if twice := {n for n in self._names if self._names.count(n) > 1}:
            raise UserError(f"two teachers are called {twice.pop()!r}, so their rows could not be told apart")
        if getattr(self.verifier, "body", None) not in ("row", "expr"):
            raise UserError(f"verifier={self.verifier!r}: give one that needs no model, like MathEqual()")
        if self.n < 1:
            raise UserError(f"n={self.n} attempts a problem cannot be made; allow 1 or more")

    @cached_property
    def _names(self) -> list[str]:
        return [model_name(e) for e in self.engine]  # which looks at the disk

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.reads, *(c for c in self.verifier.columns if c not in TRACE))))

    @property
    def asks(self) -> int:
        return len(self.engine)

    @property
    def most(self) -> int:
        return len(self.engine) * self.n

    @property
    def writes(self) -> dict[str, Any]:
        return {"attempts": pl.List(pl.Struct({"sample": pl.Int64, **super().writes}))}

    def births(self, answered: pl.LazyFrame) -> pl.LazyFrame:
        """A row for every attempt."""
        again = [c for c in ("sample", *super().writes) if c in answered.collect_schema()]
        return answered.drop(again).explode("attempts").unnest("attempts")

    def unanswered(self, failed: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of teachers a call of whom failed; the next run goes on at that call."""
        teacher = pl.col("sample").replace_strict(dict(enumerate(self._names)), return_dtype=pl.String)
        return failed.with_columns(model=teacher, sample=pl.lit(None, pl.Int64))

    async def ask(self, row: Row) -> list[dict[str, Any]]:  # type: ignore[override]
        """The attempts of one teacher at one problem."""
        teacher = self.engine[row["sample"]]
        messages = user(self.prompt.replace("{question}", row["question"]), self.system)
        made: list[dict[str, Any]] = []
        for i in range(self.n):
            [reply] = await teacher.chat(messages)
            trace = self.trace(self._names[row["sample"]], messages, reply)
            made.append({"sample": i, **trace})
            known = {**row, **trace}
            given = {c: known[c] for c in self.verifier.columns if c in known}
            verdict = await asyncio.to_thread(partial(self.verifier, **given))
            if (verdict.passed and reply.finish == "stop") or verdict.why.startswith(OF_GOLD):
                break
        return made

    def pack(self, value: Any) -> dict[str, Any]:
        return {"attempts": value}

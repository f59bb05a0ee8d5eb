"""Every problem has the share of a student's own fresh samples that a verifier passes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.identity import model_name
from curate.schema import TRACE, Row
from curate.step import Engine, Score, Verifier, user


@dataclass(frozen=True)
class StudentPassRate(Score):
    """Asks the student n times for each problem, whatever traces of others the table holds, and keeps counts,
    not texts. Problems that nobody has answered yet are asked as well: put it before `Sample`, and a filter
    on it spares the teacher. All rows of one problem share one answer.

    {of}_pass_rate: passed / judged, 0 to 1; its standard error with 8 samples is up to 0.18. _cut: those of
    all n that ran into the token limit; each is judged and has failed, whatever it says: a low limit makes
    everything look hard. _judged: these, and what the verifier passed or failed, 0 to n. _model,
    _fingerprint: which checkpoint was asked, and with which sampling; the rate says nothing of another. Null:
    {of}_pass_rate where the verifier abstains on every sample, as without a gold answer; then none is judged.

    verifier: one that needs no model; whatever columns of the problem it reads count for the answer. prompt:
    filled with the question ({question}); ask as training will.
    """

    engine: Engine
    verifier: Verifier
    n: int = 8
    of: str = "student"
    prompt: str = "{question}"
    version = 2
    reads = ("question", "answer")
    replies = (r"\boxed{4}", r"\boxed{5}")
    examples = (
        (
            dict(question="2 + 2?", answer="4"),
            dict(student_pass_rate=0.5, student_pass_rate_judged=8, student_pass_rate_cut=0,
                 student_pass_rate_model="scripted", student_pass_rate_fingerprint=...),
        ),
        (
            dict(question="Why?", answer=None),
            dict(student_pass_rate=None, student_pass_rate_judged=0, student_pass_rate_cut=0,
                 student_pass_rate_model="scripted", student_pass_rate_fingerprint=...),
        ),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise UserError(f"n={self.n} samples say nothing of a problem; ask for 1 or more")
        if getattr(self.verifier, "body", None) not in ("row", "expr"):
            raise UserError(
                f"verifier={self.verifier!r} cannot judge a sample at once; give one that needs no model, "
                "like MathEqual()"
            )
        if not self.of.isidentifier():
            raise UserError(f"of={self.of!r} begins the names of columns; use letters, digits and _")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.reads, *(c for c in self.verifier.columns if c not in TRACE))))

    @property
    def writes(self) -> dict[str, Any]:
        name = f"{self.of}_pass_rate"
        return {
            name: pl.Float64,
            f"{name}_judged": pl.Int64,
            f"{name}_cut": pl.Int64,
            f"{name}_model": pl.String,
            f"{name}_fingerprint": pl.String,
        }

    async def ask(self, row: Row) -> Mapping[str, Any]:
        messages = user(self.prompt.replace("{question}", row["question"]))
        replies = await self.engine.chat(messages, n=self.n)
        verdicts = []
        for reply in replies:
            trace = {"thinking": reply.thinking, "response": reply.response, "finish": reply.finish}
            asked = {**trace, "messages": messages, **row}
            given = {c: asked[c] for c in self.verifier.columns if c in asked}
            verdicts.append(await asyncio.to_thread(partial(self.verifier, **given)))
        passed = [v.passed for v in verdicts]
        cut = [reply.finish == "length" for reply in replies]
        if any(p is not None for p in passed):  # else the gold is at fault, and no sample can fail by it
            passed = [False if c else p for p, c in zip(passed, cut, strict=True)]
        judged = [p for p in passed if p is not None]
        rate = sum(judged) / len(judged) if judged else None
        values = (rate, len(judged), sum(cut), model_name(self.engine), self.engine.fingerprint)
        return dict(zip(self.writes, values, strict=True))

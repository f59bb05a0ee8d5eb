"""A trace has the probability that a model gives the gold answer once it has read the trace's reasoning.

AMPO (Adaptive Multi-Guidance Policy Optimization, arXiv:2510.02227) chooses by it which teacher's trace a
student can follow. The paper takes the geometric mean of the answer's token probabilities, its code the
arithmetic one; both are here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from curate.answers import final_answer
from curate.errors import TooLong, UserError
from curate.pieces import steps
from curate.schema import Row
from curate.step import Engine, Score
from curate.turns import asked_of, reasoning, reasoning_of, scored, turn_for


@dataclass(frozen=True)
class Comprehension(Score):
    r"""The answer that is scored is the gold one, written as `form`, after the thinking of the trace, or,
    without thinking, after its response. A trace longer than the context is set aside, never cut.

    {of}_comprehension: geometric mean of the answer's token probabilities; _arithmetic: their arithmetic
    mean, never less; both 0 to 1. _bare: the geometric mean without any reasoning. _shuffled (only where
    `control` is given): after another problem's reasoning. Reasoning that helps lies above both controls.
    {of}_answer_length: tokens of the answer, 1 or more: probabilities of short answers are larger.
    {of}_leaks_answer: whether the reasoning states the answer, by the form of the words: not every statement
    is found. {of}_comprehension_fingerprint: whose opinion it is. {of}_answer_form (only where `verdict` is
    given): "gold" or "trace", whose way of writing the answer these are about. All are null where there is no
    gold answer; _shuffled, too, where the control is, or is longer than the context.

    leak: reasoning that states the answer is followed by anybody; "cut" reads it up to the step that does
    (inferred), "keep" reads all of it, as published. form: how the answer is written; {answer} stands in it.
    control: the column with another problem's reasoning, as `another_reasoning` adds it ("other_reasoning").
    verdict: a verifier's column, such as "math_equal"; where it passed, the answer is scored as the trace
    wrote it, too (0.5 for 1/2), and the likelier of the two counts.
    """

    engine: Engine
    of: str = "student"
    leak: Literal["cut", "keep"] = "cut"
    form: str = r"\boxed{{answer}}"
    control: str | None = None
    verdict: str | None = None
    version = 3
    reads = ("question", "messages", "thinking", "response", "answer")
    takes = {"control": "text", "verdict": "verdicts"}
    replies = (r"\boxed{4}",)
    examples = (
        (
            dict(question="2 + 2?", answer="4", thinking="2 and 2 make 4.\nSo 2 + 2 = 4.", response="4"),
            dict(student_comprehension=0.0, student_comprehension_arithmetic=0.0,
                 student_comprehension_bare=0.0, student_answer_length=1, student_leaks_answer=True,
                 student_comprehension_fingerprint=...),
        ),
        (
            dict(question="2 + 2?", answer="4"),
            dict(student_comprehension=1.0, student_comprehension_arithmetic=1.0,
                 student_comprehension_bare=1.0, student_answer_length=1, student_leaks_answer=False,
                 student_comprehension_fingerprint=...),
        ),
        (
            dict(question="2 + 2?", response="4"),
            dict(student_comprehension=None, student_comprehension_arithmetic=None,
                 student_comprehension_bare=None, student_answer_length=None, student_leaks_answer=None,
                 student_comprehension_fingerprint=None),
        ),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(getattr(self.engine, "score", None)):
            raise UserError(f"the engine {self.engine.model!r} cannot score a text; use an hf: engine")
        if self.form.count("{answer}") != 1:
            raise UserError(f"form={self.form!r} has to say once where the {{answer}} stands")
        if not self.of.isidentifier():
            raise UserError(f"of={self.of!r} begins the names of columns; use letters, digits and _")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, *(c for c in (self.control, self.verdict) if c))

    @property
    def writes(self) -> dict[str, Any]:
        name = f"{self.of}_comprehension"
        shuffled = {f"{name}_shuffled": pl.Float64} if self.control else {}
        return {
            **dict.fromkeys((name, f"{name}_arithmetic", f"{name}_bare"), pl.Float64),
            **shuffled,
            f"{self.of}_answer_length": pl.Int64,
            f"{self.of}_leaks_answer": pl.Boolean,
            f"{name}_fingerprint": pl.String,
            **({f"{self.of}_answer_form": pl.String} if self.verdict else {}),
        }

    async def ask(self, row: Row) -> Mapping[str, Any]:
        answer = (row["answer"] or "").strip()
        if not answer:
            return dict.fromkeys(self.writes)
        read = reasoning_of(row)
        forms = self._forms(row, answer)
        stated = min((s for f in forms if (s := first_statement(read, f)) is not None), default=None)
        if stated is not None and self.leak == "cut":
            read = read[:stated]
        found = {f: await self._chances(row, f, read) for f in forms}
        answer = max(found, key=lambda f: geometric(found[f]))  # of equal ones the gold's, which is the first
        chances, bare = found[answer], await self._chances(row, answer, "")
        values: list[Any] = [geometric(chances), sum(map(math.exp, chances)) / len(chances), geometric(bare)]
        if self.control:
            values.append(await self._shuffled(row, answer, row[self.control]))
        values += [len(chances), stated is not None, self.engine.fingerprint]
        values += [forms[answer]] if self.verdict else []
        return dict(zip(self.writes, values, strict=True))

    async def _shuffled(self, row: Row, answer: str, other: str | None) -> float | None:
        """The geometric mean after the control, whose length is no fault of this trace."""
        try:
            return None if other is None else geometric(await self._chances(row, answer, other))
        except TooLong:
            return None

    def _forms(self, row: Row, gold: str) -> dict[str, str]:
        """The ways to write the answer, each with whose it is."""
        judged = row[self.verdict] if self.verdict else None
        own = (judged["extracted"] or "").strip() if judged and judged["passed"] else ""
        return {gold: "gold"} | ({own: "trace"} if own and own != gold else {})

    async def _chances(self, row: Row, answer: str, read: str) -> list[float]:
        """The log-probabilities of the answer's tokens after this reasoning, cut with what is around them."""
        said = self.form.replace("{answer}", answer)
        thinking = row["thinking"] and row["thinking"].strip()
        before = f"{read.rstrip()}\n\n" if not thinking and read.strip() else ""
        made = {"thinking": read.strip() if thinking else thinking, "response": before + said}
        messages = asked_of(row)
        turn = await turn_for(self.engine, messages, made)
        start = len(turn.text) - len(said)
        scores = await scored(self.engine, messages, turn.text[start:], prefix=turn.text[:start])
        first = self.form.index("{answer}")
        last = first + len(answer)
        tokens = zip(scores.start, scores.end, scores.logprob, strict=True)
        return [logprob for a, b, logprob in tokens if a < last and b > first]


def geometric(logprobs: list[float]) -> float:
    """The geometric mean of the probabilities."""
    return math.exp(sum(logprobs) / len(logprobs))


def first_statement(reasoning: str, answer: str) -> int | None:
    """Where the first step begins that states the answer: as the result of an equation, or as final."""
    result = re.compile(rf"(?:=|≈|→)\s{{0,3}}[({{$]{{0,2}}{re.escape(answer)}(?!\w|[.,]\d)")
    for start, end in steps(reasoning):
        step = reasoning[start:end]
        final = final_answer(step)
        if result.search(step) or (final is not None and final.text.strip() == answer):
            return start
    return None


def another_reasoning(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Adds `other_reasoning`: thinking (or response) of another problem's trace; null where there is none.

    Problems are taken in the order of their ids, which are hashes; each is given the first trace of the next.
    """
    traces = frame.filter(pl.col("trace_id").is_not_null())
    first = reasoning().sort_by("trace_id").first()
    firsts = traces.group_by("problem_id").agg(text=first).sort("problem_id")
    last = pl.int_range(pl.len()) == pl.len() - 1
    following = pl.when(last).then(pl.col("text").first()).otherwise(pl.col("text").shift(-1))
    other = pl.when(pl.len() > 1).then(following)
    given = firsts.select("problem_id", other_reasoning=other)
    return frame.join(given, on="problem_id", how="left", maintain_order="left")

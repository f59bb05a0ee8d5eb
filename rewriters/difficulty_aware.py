"""The trace is written anew, as long as its problem is hard: by the plan for easy, medium or hard ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from curate.difficulty import ASK, INSTRUCTIONS, LEVELS, WRITE, lacks, leaks, level_in, parts
from curate.errors import TooLong, UserError
from curate.judging import fence, mark
from curate.rewriting import (
    Recorded,
    Revision,
    check_verifier,
    gold_of,
    judging_columns,
    stray_tag,
    words,
    wrong,
)
from curate.schema import Row
from curate.step import OF_GOLD, Completion, Engine, Message, Text, Verifier, user

_FORM = "**Analysis** Two and two are asked for.\n**Approach** 2 + 2 = 4.\n**Summary** It is 4."


@dataclass(frozen=True)
class DifficultyAware(Recorded):
    """Difficulty-aware prompting (LiteCoT, Wu et al. 2025, arXiv:2505.19716): the engine says how hard the
    problem is and, in the same conversation, writes its solution by the plan of that level. The paper has one
    prompt for both; its words are not public, so these are our own, after the plans of the released pipeline.

    mode: `rewrite` shows the trace, as the paper does. `answer_conditioned` shows the gold answer instead, as
    the released code does: such a text may rationalise. level: a column that says easy, medium or hard;
    nobody is asked then. A judge whose last line is not of the grammar abstains, and the trace stays.

    A text becomes the child if it came to its end, has the headings of its plan in order, is shorter than the
    trace and `floor` words long at least, names nothing that the reader has not seen (English phrases),
    and passes the verifier. Otherwise it is tried again up to `retries` times, by the same plan or the
    next longer one (`retry`); then the trace stays. Where the gold answer is what keeps the verifier from
    judging, it is not tried again. `difficulty_aware` says level, mode, why, and how many
    attempts there were; `difficulty_aware_events` their plans, why each failed, and its text where it did.

    Put it after `Failed`: it takes the trace for right. Without a gold answer the trace stays, unpaid;
    with `without_gold` its own answer is what the child must come to. hints: tokens for each level, told to
    the engine and not enforced. They, floor (in words), retries and retry_temperature are inferred.
    instructions: what every call begins with, in other words for a model that was taught others.
    """

    engine: Engine
    verifier: Verifier
    mode: Literal["rewrite", "answer_conditioned"] = "rewrite"
    level: str | None = None
    retry: Literal["same", "longer"] = "same"
    retries: int = 3
    retry_temperature: float = 0.6
    hints: tuple[int, int, int] = (256, 1024, 4096)
    floor: int = 32
    without_gold: bool = False
    instructions: str = INSTRUCTIONS
    version = 3
    reads = ("question", "thinking", "response", "answer")
    record = {"level": pl.String, "mode": pl.String, "why": pl.String, "attempts": pl.Int64}
    event = {"plan": pl.String, "why": pl.String, "text": pl.String, "output_tokens": pl.Int64}
    example_fields = {"floor": 5}
    replies = (
        "One sum.\nDIFFICULTY: EASY",
        f"=== REASONING ===\n{_FORM}\n=== SOLUTION ===\n2 + 2 = \\boxed{{4}}\n=== END ===",
    )
    examples = (
        (
            dict(question="2 + 2?", thinking="Hm, two and two. " * 12, response=r"\boxed{4}", answer="4"),
            dict(thinking=_FORM, response=r"2 + 2 = \boxed{4}"),
        ),
        (dict(question="2 + 2?", thinking="2 + 2 = 4", response=r"\boxed{4}", answer=None), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_verifier(self.verifier)
        if self.retries < 0:
            raise UserError(f"retries={self.retries}: a text is written once at least; give 0 or more")
        if len(self.hints) != 3 or min(self.hints) < 1:
            raise UserError(f"hints={self.hints!r} must be three numbers of tokens: easy, medium, hard")

    @property
    def columns(self) -> tuple[str, ...]:
        level = (self.level,) if self.level else ()
        return tuple(dict.fromkeys((*self.reads, *judging_columns(self.verifier), *level)))

    async def ask(self, row: Row) -> Revision:
        gold = gold_of(row, without_gold=self.without_gold)
        if gold is None:
            return self._stays("no_gold: nothing says what the new text must come to")
        if not words(row["thinking"], row["response"]):
            return self._stays("no_trace: there is no text")
        messages = user(self._material(row, gold))
        level, why = await self._level(row, messages)
        if level is None:
            return self._stays(why)
        messages += [{"role": "assistant", "content": f"DIFFICULTY: {level.upper()}"}]
        tried: list[dict[str, Any]] = []
        child = None
        for i in range(1 + self.retries):
            plan = LEVELS[min(LEVELS.index(level) + (i if self.retry == "longer" else 0), 2)]
            how: dict[str, Any] = {"temperature": self.retry_temperature} if i else {}
            try:
                [reply] = await self.engine.chat([*messages, *user(self._order(plan))], **how)
            except TooLong as e:
                tried.append(dict(plan=plan, why=f"no_room: {e}", text=None, output_tokens=0))
                break
            text, why = await self._checked(reply, row, plan, gold)
            known = None if text else reply.text
            tried.append(dict(plan=plan, why=why or None, text=known, output_tokens=reply.output_tokens))
            if text:
                child = text
                break
            if why.startswith(tuple(f"unverified: {of_gold}" for of_gold in OF_GOLD)):
                break
        record = dict(level=level, mode=self.mode, why=tried[-1]["why"], attempts=len(tried))
        return Revision(child, record, tried)

    def _stays(self, why: str) -> Revision:
        return Revision(None, dict(level=None, mode=self.mode, why=why, attempts=0))

    def _material(self, row: Row, gold: str) -> str:
        """The first turn: what is fixed, then the problem, then the trace or the answer."""
        texts = {"PROBLEM": row["question"] or ""}
        if self.mode == "rewrite":
            texts["SOLUTION"] = "\n\n".join(filter(None, (row["thinking"], row["response"])))
        else:
            texts["ANSWER"] = gold
        word = mark(*texts.values())
        return "\n\n".join([self.instructions, *(fence(n, t, word) for n, t in texts.items()), ASK])

    def _order(self, plan: str) -> str:
        return WRITE[self.mode].format(plan=plan.upper(), hint=self.hints[LEVELS.index(plan)])

    async def _level(self, row: Row, messages: list[Message]) -> tuple[str | None, str]:
        """How hard the problem is, or None and why nobody knows."""
        if self.level:
            level = row[self.level]
            return (level, "") if level in LEVELS else (None, f"no_level: {self.level} says {level!r}")
        try:
            [reply] = await self.engine.chat(messages)
        except TooLong as e:
            return None, f"no_room: {e}"
        if (level := level_in(reply)) is None:
            return None, f"unreadable_judge: it ends in {reply.text.strip()[-60:]!r}"
        return level, ""

    async def _checked(self, reply: Completion, row: Row, plan: str, gold: str) -> tuple[Text | None, str]:
        """The child that a reply is, or None and what is wrong with it."""
        text, why = parts(reply)
        if text is None:
            return None, why
        if missing := lacks(text.thinking or "", plan):
            return None, f"template: no **{missing}** where the plan {plan} wants it"
        if tag := stray_tag(text):
            return None, f"stray_tag: {tag} inside the text"
        new, old = (words(t[0], t[1]) for t in (text, (row["thinking"], row["response"])))
        if leak := leaks(text, row["question"] or ""):
            return None, f"leak: it says {leak!r}"
        if new >= old:
            return None, f"not_shorter: {new} words, the trace has {old}"
        if new < self.floor:
            return None, f"too_short: {new} words < {self.floor}"
        why = await wrong(self.verifier, row, text, gold) or ""
        return (None, why) if why else (text, "")

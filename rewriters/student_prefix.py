"""A trace begins as the student wrote it, where that ran too long, and goes on as the teacher does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import polars as pl

from curate.errors import TooLong, UserError
from curate.rewriting import Recorded, Revision, check_verifier, gold_of, judging_columns, stray_tag, wrong
from curate.schema import Row, content_hash
from curate.step import Completion, Engine, Text, Verifier
from curate.text import split_thinking
from curate.turns import asked_of, turn_of


@dataclass(frozen=True)
class StudentPrefix(Recorded):
    """Mixed-policy rows (DASD, arXiv:2601.09088, section 5): the student answers the question itself, in up
    to `cap` times the tokens of the trace. An answer that runs into that limit is cut at a random place past
    the half of its thinking and response, at white space, and the teacher goes on from there; so training
    sees how to get on after a prefix that only the student would write.

    The child has `spans` labelled student and teacher. Learn from all of it: masking the student's part cost
    3 points. The trace stays where the student comes to its own end (`own_end`), where the teacher does not,
    answers nothing or begins to think anew, and where nobody counted the trace's tokens. As published, no
    answer is verified; with a verifier, the child has to pass it where there is a gold answer.

    `student_prefix` says why there is no child; `student_prefix_events` what student and teacher wrote.

    engine: the teacher, with a tokenizer of its own. cap: 1.5, as published. seed: of the places of the cuts.
    """

    engine: Engine
    student: Engine
    cap: float = 1.5
    seed: int = 0
    verifier: Verifier | None = None
    version = 3
    owners = True
    reads = ("question", "messages", "output_tokens")
    record = {"why": pl.String}
    event = {
        "role": pl.String,  # student or teacher
        "text": pl.String,  # what it wrote itself, raw
        "finish": pl.String,
        "output_tokens": pl.Int64,
    }
    replies = ("one two three four",)
    examples = (
        (
            dict(question="Count.", output_tokens=2),
            dict(thinking=None, response="one two one two three four"),
        ),
        (dict(question="Count.", output_tokens=9), None),
        (dict(question="Count.", output_tokens=None), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cap <= 0:
            raise UserError(
                f"cap={self.cap} times the trace leaves the student nothing to say; give more than 0"
            )
        if self.verifier is not None:
            check_verifier(self.verifier)

    @property
    def columns(self) -> tuple[str, ...]:
        judging = ("answer", *judging_columns(self.verifier)) if self.verifier else ()
        return tuple(dict.fromkeys((*self.reads, *judging)))

    async def ask(self, row: Row) -> Revision:
        calls: list[dict[str, Any]] = []
        try:
            child, why = await self._mixed(row, calls)
        except TooLong as e:
            child, why = None, f"no_room: {e}"
        return Revision(child, {"why": why}, calls)

    async def _mixed(self, row: Row, calls: list[dict[str, Any]]) -> tuple[Text | None, str | None]:
        """The child, or why there is none; every call is noted."""
        if not row["output_tokens"]:
            return None, "uncounted: nobody counted the tokens of the trace"
        messages = asked_of(row)
        [mine] = await self.student.chat(messages, max_tokens=math.ceil(self.cap * row["output_tokens"]))
        calls.append(_call("student", mine))
        if mine.finish != "length":
            return None, "own_end: the student came to its own end"
        begun = self._begun(mine)
        if not begun:
            return None, "no_prefix: the student said nothing"
        [rest] = await self.engine.chat(messages, prefix=begun)
        calls.append(_call("teacher", rest))
        text = Text(rest.thinking, rest.response, spans=list(owned(begun, rest.thinking, rest.response)))
        why = await self._wrong(text, rest.finish, row)
        return (None, why) if why else (text, None)

    async def _wrong(self, text: Text, finish: str, row: Row) -> str | None:
        if finish != "stop":
            return "truncated: the teacher ran into the token limit"
        if not text.response.strip():
            return "unclosed_thinking: nothing follows the thinking"
        if tag := stray_tag(text):
            return f"thinks_again: {tag} inside the text"
        if self.verifier is None or (gold := gold_of(row, without_gold=False)) is None:
            return None
        return await wrong(self.verifier, row, text, gold)

    def _begun(self, mine: Completion) -> str:
        """The student's turn up to the cut, which falls within what it said; empty where that is nothing."""
        thinking = mine.thinking or ""
        said = thinking + mine.response
        share = int(content_hash(self.seed, said)[:8], 16) / 16**8
        at = math.ceil(len(said) * (1 + share) / 2)
        space = max(said.rfind(c, 0, at) for c in " \n")
        at = space + 1 if space >= len(said) / 2 else at
        if not said[:at].strip():
            return ""
        if mine.thinking is not None and at <= len(thinking):
            return f"<think>\n{thinking[:at]}"
        turn = turn_of({"thinking": mine.thinking, "response": mine.response[: at - len(thinking)]}, "")
        return turn.text if turn else ""


def _call(role: str, reply: Completion) -> dict[str, Any]:
    return dict(role=role, text=reply.text, finish=reply.finish, output_tokens=reply.output_tokens)


def owned(begun: str, thinking: str | None, response: str) -> Iterator[dict[str, Any]]:
    """Who wrote which characters of a turn that begins with `begun`."""
    mine = split_thinking(begun)
    theirs = {"thinking": thinking or "", "response": response}
    for name, text in theirs.items():
        end = len(commonprefix([text, getattr(mine, name)]))
        for owner, a, b in (("student", 0, end), ("teacher", end, len(text))):
            if a < b:
                yield dict(field=name, start=a, end=b, label=owner, value=None)

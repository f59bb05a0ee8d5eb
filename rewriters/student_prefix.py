"""A trace begins as the student wrote it, where that ran too long, and goes on as the teacher does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

from curate.errors import UserError
from curate.schema import Row, content_hash
from curate.step import Completion, Engine, Rewriter, Text
from curate.text import split_thinking
from curate.turns import asked_of, turn_of


@dataclass(frozen=True)
class StudentPrefix(Rewriter):
    """Mixed-policy rows (DASD, arXiv:2601.09088, section 5): the student answers the question itself, in up
    to `cap` times the tokens of the trace. An answer that runs into that limit is cut at a random place past
    its half, at white space, and the teacher goes on from there; so training sees how to get on after a
    prefix that only the student would write.

    The child has `spans` labelled student and teacher. Learn from all of it: masking the student's part cost
    3 points. The trace stays (None) where the student comes to its own end, where the teacher does not, or
    begins to think anew, and where nobody counted the trace's tokens. The child is not verified.

    engine: the teacher, with a tokenizer of its own. cap: 1.5, as published. seed: of the places of the cuts.
    """

    engine: Engine
    student: Engine
    cap: float = 1.5
    seed: int = 0
    owners = True
    reads = ("question", "messages", "output_tokens")
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

    async def ask(self, row: Row) -> Text | None:
        if not row["output_tokens"]:
            return None
        messages = asked_of(row)
        [mine] = await self.student.chat(messages, max_tokens=math.ceil(self.cap * row["output_tokens"]))
        if mine.finish != "length":
            return None
        begun = self._begun(mine)
        if not begun.strip():
            return None
        [rest] = await self.engine.chat(messages, prefix=begun)
        if rest.finish != "stop" or "<think" in rest.text:
            return None
        return Text(rest.thinking, rest.response, spans=list(owned(begun, rest.thinking, rest.response)))

    def _begun(self, mine: Completion) -> str:
        """The student's turn up to the cut."""
        if mine.thinking is None or mine.response:
            turn = turn_of({"thinking": mine.thinking, "response": mine.response}, "")
            whole = turn.text if turn else ""
        else:
            whole = f"<think>\n{mine.thinking}"
        share = int(content_hash(self.seed, whole)[:8], 16) / 16**8
        at = math.ceil(len(whole) * (1 + share) / 2)
        space = max(whole.rfind(c, 0, at) for c in " \n")
        return whole[: space + 1 if space >= len(whole) / 2 else at]


def owned(begun: str, thinking: str | None, response: str) -> Iterator[dict[str, Any]]:
    """Who wrote which characters of a turn that begins with `begun`."""
    mine = split_thinking(begun)
    theirs = {"thinking": thinking or "", "response": response}
    for name, text in theirs.items():
        end = len(commonprefix([text, getattr(mine, name)]))
        for owner, a, b in (("student", 0, end), ("teacher", end, len(text))):
            if a < b:
                yield dict(field=name, start=a, end=b, label=owner, value=None)

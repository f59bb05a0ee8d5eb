"""The thinking ends early, at a share or a number of its tokens, and the answer is given from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from curate.errors import TooLong, UserError
from curate.pieces import sentences, steps
from curate.rewriting import (
    WORD,
    Recorded,
    Revision,
    check_verifier,
    gold_of,
    judging_columns,
    stray_tag,
    wrong,
)
from curate.schema import Row, content_hash
from curate.step import Engine, Text, Verifier
from curate.turns import asked_of, turn_for

MODES = ("high", "medium", "low")
CONNECTIVES = {  # said in the voice of the mode before the thinking is closed; the words are our own
    "medium": "I have thought about this long enough, so I will write down the answer now.",
    "low": "There is no time to think any further; I answer at once.",
}
_LEAKS = re.compile(
    r"\b(?:wait|hmm+|let me (?:think|re-?check|double-check|see)|actually|alternatively|however"
    r"|on second thought)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class BudgetForcing(Recorded):
    """mode: `high` leaves the trace as it is; `medium` and `low` keep the first share (of that name) of the
    thinking, say in one sentence that it ends, close it, and let the engine answer from there (ThinkDial,
    arXiv:2508.18773); `mixed` gives each problem one of the three, by a hash of seed and question. `elastic`
    keeps `thinking_tokens` at most, says nothing, and leaves the answer `answer_tokens` (Elastic Reasoning,
    arXiv:2505.05315); a trace within both budgets stays as it is.

    The child has to come to its end, to think no further (nor use more than `max_leaks` words of thinking,
    in English), and to pass the verifier; else the trace stays with the reason. Its `spans` are labelled
    parent, injected and engine. Learn from what was injected or mask it: papers differ. The tag that closes
    cut thinking belongs to no text: where nothing is said, the injected span is empty, before the response.

    Tokens are those in the column `{of}_tokens`, as `token_logprobs` writes it, where `of` is given; else
    words are counted. An answer from the cut is always held to the engine's own tokens. boundary:
    the cut falls at the last end of a sentence or a step within the budget; `token`, as published, may cut
    in mid-sentence, and within a code fence or a formula. low=0 gives empty thinking, which ThinkDial adds
    for easy problems. max_leaks and boundary are ours.
    """

    engine: Engine
    verifier: Verifier
    mode: Literal["mixed", "high", "medium", "low", "elastic"] = "mixed"
    medium: float = 0.5
    low: float = 0.25
    thinking_tokens: int = 1024
    answer_tokens: int = 1024
    boundary: Literal["token", "sentence", "step"] = "token"
    of: str | None = None
    max_leaks: int = 0
    seed: int = 0
    version = 3
    owners = True
    reads = ("question", "messages", "thinking", "response", "answer")
    record = {
        "mode": pl.String,
        "why": pl.String,
        "tokens": pl.Int64,  # of the parent's thinking
        "kept": pl.Int64,  # of these, in the child
        "closed": pl.Boolean,  # whether the thinking ended by itself, and nothing was cut
        "leaks": pl.Int64,  # words of thinking in the new answer
        "answer_tokens": pl.Int64,
    }
    event = {"response": pl.String, "finish": pl.String}
    example_fields = {"mode": "medium"}
    replies = (r"\boxed{4}",)
    examples = (
        (
            dict(question="2 + 2?", thinking="2 + 2 = 4. Let me check it now.", response="4", answer="4"),
            dict(thinking=f"2 + 2 = 4.\n\n{CONNECTIVES['medium']}", response=r"\boxed{4}"),
        ),
        (dict(question="2 + 2?", thinking=None, response="4", answer="4"), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_verifier(self.verifier)
        if not 0 <= self.low <= self.medium <= 1:
            raise UserError(f"low={self.low} and medium={self.medium} must be in order, from 0 to 1")
        for name in ("thinking_tokens", "answer_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} leaves no room; give 1 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        of = (f"{self.of}_tokens",) if self.of else ()
        return tuple(dict.fromkeys((*self.reads, *judging_columns(self.verifier), *of)))

    async def ask(self, row: Row) -> Revision:
        mode, thinking, gold = self._mode(row), row["thinking"] or "", gold_of(row, without_gold=False)
        record: dict[str, Any] = {**dict.fromkeys(self.record), "mode": mode}
        if mode == "high":
            return Revision(None, record)
        if gold is None or not thinking.strip():
            return Revision(None, record | {"why": "no_gold" if gold is None else "no_thinking"})
        ends, answer = self._ends(row, "thinking"), self._ends(row, "response")
        if not ends:
            return Revision(
                None, record | {"why": f"unscored: {self.of}_tokens has no token of the thinking"}
            )
        keep = min(len(ends), self.thinking_tokens if mode == "elastic" else self._share(mode, len(ends)))
        at = self._cut(thinking, ends[keep - 1] if keep else 0)
        record |= dict(tokens=len(ends), kept=sum(end <= at for end in ends), closed=keep == len(ends))
        if mode == "elastic" and record["closed"] and len(answer) <= self.answer_tokens:
            return Revision(None, record)
        kept, ending = thinking[:at].rstrip(), "" if record["closed"] else CONNECTIVES.get(mode, "")
        begun = f"{kept}\n\n{ending}" if kept and ending else kept
        messages = asked_of(row)
        limit: dict[str, Any] = {"max_tokens": self.answer_tokens} if mode == "elastic" else {}
        try:
            turn = await turn_for(self.engine, messages, {"thinking": begun, "response": ""})
            [reply] = await self.engine.chat(messages, prefix=turn.text, **limit)
        except TooLong as e:
            return Revision(None, record | {"why": f"no_room: {e}"})
        response = reply.text.strip()
        child = Text(begun, response, spans=list(_owned(kept, begun, response, record["closed"])))
        leaks = len(_LEAKS.findall(response))
        why = await self._wrong(child, row, gold, reply.finish, leaks)
        record |= dict(why=why, leaks=leaks, answer_tokens=reply.output_tokens)
        if why is None:
            return Revision(child, record)
        return Revision(None, record, [dict(response=response, finish=reply.finish)])

    def _mode(self, row: Row) -> str:
        drawn = int(content_hash("mode", self.seed, row["question"])[:12], 16) % len(MODES)
        return MODES[drawn] if self.mode == "mixed" else self.mode

    def _share(self, mode: str, n: int) -> int:
        return round(n * {"medium": self.medium, "low": self.low}[mode])

    def _ends(self, row: Row, field: str) -> list[int]:
        """Where each token of a field ends."""
        if self.of:
            return [s["end"] for s in row[f"{self.of}_tokens"] or [] if s["field"] == field]
        return [found.end() for found in re.finditer(WORD, row[field] or "")]

    def _cut(self, thinking: str, at: int) -> int:
        """The last place to cut that is not behind `at`."""
        if self.boundary == "token" or at >= len(thinking.rstrip()):
            return at
        pieces = sentences(thinking) if self.boundary == "sentence" else steps(thinking)
        ends = [start + len(thinking[start:end].rstrip()) for start, end in pieces]
        return max((end for end in ends if end <= at), default=0)

    async def _wrong(self, child: Text, row: Row, gold: str, finish: str, leaks: int) -> str | None:
        if finish != "stop":
            return "truncated: the answer ran into the token limit"
        if not child.response:
            return "no_answer: nothing follows the thinking"
        if tag := stray_tag(Text(None, child.response)):
            return f"thinks_again: {tag} in the answer"
        if leaks > self.max_leaks:
            return f"leak: {leaks} words of thinking in the answer > {self.max_leaks}"
        return await wrong(self.verifier, row, child, gold)


def _owned(kept: str, begun: str, response: str, closed: bool) -> Iterator[dict[str, Any]]:
    """Who wrote which characters. Where only the closing tag was injected, a span without any says so."""
    injected = ("thinking", len(kept), len(begun)) if begun != kept else ("response", 0, 0)
    parts = [("thinking", 0, len(kept), "parent")] if kept else []
    parts += [] if closed else [(*injected, "injected")]
    for field, start, end, label in [*parts, ("response", 0, len(response), "engine")]:
        yield dict(field=field, start=start, end=end, label=label, value=None)

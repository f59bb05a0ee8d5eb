"""The thinking has lost the chunks without which a student still comes to the right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from curate.answers import listed
from curate.chunks import Move, even, search
from curate.errors import TooLong, UserError
from curate.identity import model_name
from curate.pieces import Piece, by_piece, steps
from curate.rewriting import Recorded, Revision, check_verifier, gold_of, judged, judging_columns
from curate.schema import Row
from curate.step import Engine, Text, Verifier
from curate.text import split_thinking
from curate.turns import asked_of, turn_for

_MOVE = {"boundary": pl.Int64, "to": pl.Int64, "objective": pl.Float64}
_CHUNK = {"start": pl.Int64, "end": pl.Int64, "loss": pl.Float64, "skipped": pl.Boolean}


@dataclass(frozen=True)
class SkipThinking(Recorded):
    """Skip-thinking (arXiv:2505.18642, EMNLP 2025; known from its abstract and notes on it): the thinking is
    cut into at most `chunks` runs of steps. The student answers after all of them; where it is right, it
    answers without one chunk after the other, from left to right, those already found needless left out.
    What it does not need to be right is skipped; the last chunk that is left never is. The response stays.

    The trace stays where the student is wrong with all chunks (`uninformative`), where it needs every chunk,
    and where there is one step, no thinking, or no gold answer. A skip holds for this checkpoint alone. A
    chunk that defines what a later one uses may go, if the answer survives it: every trial is noted.

    engine: the student, trained on chunks. Trials are greedy; where the question lists options, a chance hit
    is likely, and `choice_trials` samples at the engine's temperature must all be right. losses: the `of` of
    `token_logprobs`, by whose mean loss of each step boundaries are moved (greedily, to the least dispersion
    within chunks); None keeps chunks of equally many steps. chunks, choice_trials, the order of trials and
    what the search minimises are inferred.
    """

    engine: Engine
    verifier: Verifier
    chunks: int = 4
    losses: str | None = None
    choice_trials: int = 3
    version = 2
    reads = ("question", "messages", "thinking", "response", "answer")
    record = {
        "why": pl.String,
        "model": pl.String,
        "fingerprint": pl.String,
        "chunks": pl.List(pl.Struct(_CHUNK)),
        "moves": pl.List(pl.Struct(_MOVE)),
        "skip_ratio": pl.Float64,
    }
    event = {"chunk": pl.Int64, "context": pl.List(pl.Int64), "predicted": pl.String, "correct": pl.Boolean}
    replies = (r"\boxed{4}", r"\boxed{4}", r"\boxed{5}")
    examples = (
        (
            dict(question="2 + 2?", thinking="Let me see.\n\n2 + 2 = 4.", response="4", answer="4"),
            dict(thinking="2 + 2 = 4.", response="4"),
        ),
        (dict(question="2 + 2?", thinking="2 + 2 = 4.", response="4", answer="4"), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_verifier(self.verifier)
        for name in ("chunks", "choice_trials"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} must be 1 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        losses = (f"{self.losses}_tokens",) if self.losses else ()
        return tuple(dict.fromkeys((*self.reads, *judging_columns(self.verifier), *losses)))

    async def ask(self, row: Row) -> Revision:
        gold, thinking = gold_of(row, without_gold=False), row["thinking"] or ""
        if gold is None or not thinking.strip():
            return self._found(None, "no_gold" if gold is None else "no_thinking")
        cut, losses, moves = self._cut(row, thinking)
        texts = [thinking[start:end] for start, end in cut]
        if len(cut) < 2:
            return self._found(None, "one_chunk", cut, losses)
        kept = list(range(len(cut)))
        try:
            trials = [await self._trial(row, gold, texts, kept, None)]
        except TooLong as e:  # the trials to come would be shorter
            return self._found(None, f"no_room: {e}", cut, losses, moves, kept=kept)
        if not trials[0]["correct"]:
            return self._found(None, "uninformative: wrong with all chunks", cut, losses, moves, trials, kept)
        for chunk in range(len(cut)):
            rest = [i for i in kept if i != chunk]
            if rest:
                trials.append(await self._trial(row, gold, texts, rest, chunk))
                kept = rest if trials[-1]["correct"] else kept
        if len(kept) == len(cut):
            return self._found(None, "needed: every chunk", cut, losses, moves, trials, kept)
        child = Text("".join(texts[i] for i in kept).rstrip(), row["response"])
        return self._found(child, None, cut, losses, moves, trials, kept)

    def _found(
        self,
        child: Text | None,
        why: str | None,
        cut: Sequence[Piece] = (),
        losses: Sequence[float | None] = (),
        moves: Sequence[Move] = (),
        trials: Sequence[dict[str, Any]] = (),
        kept: Sequence[int] | None = None,
    ) -> Revision:
        left = range(len(cut)) if kept is None else kept
        chunks = [
            dict(start=piece.start, end=piece.end, loss=loss, skipped=i not in left)
            for i, (piece, loss) in enumerate(zip(cut, losses, strict=True))
        ]
        record = {
            "why": why,
            "model": model_name(self.engine),
            "fingerprint": self.engine.fingerprint,
            "chunks": chunks,
            "moves": [move._asdict() for move in moves],
            "skip_ratio": 1 - len(left) / len(cut) if cut else None,
        }
        return Revision(child, record, trials)

    def _cut(self, row: Row, thinking: str) -> tuple[list[Piece], list[float | None], list[Move]]:
        """The chunks, the mean loss of each where it is known, and the moves that led to them."""
        pieces, moves = steps(thinking), list[Move]()
        boundaries = even(len(pieces), min(self.chunks, len(pieces)))
        spans = (row[f"{self.losses}_tokens"] or []) if self.losses else []
        mine = [span for span in spans if span["field"] == "thinking"]
        if mine:
            values = [v for _, v in by_piece(thinking, pieces, mine)]
            mean = sum(s["value"] for s in mine) / len(mine)
            losses = [-(sum(v) / len(v) if v else mean) for v in values]
            boundaries, moves = search(losses, boundaries)
        ends = list(pairwise([0, *boundaries, len(pieces)]))
        cut = [Piece(pieces[a].start, pieces[b - 1].end) for a, b in ends]
        known = [sum(losses[a:b]) / (b - a) for a, b in ends] if mine else [None] * len(cut)
        return cut, list(known), moves

    async def _trial(
        self, row: Row, gold: str, texts: list[str], kept: list[int], chunk: int | None
    ) -> dict[str, Any]:
        """Whether the student is right after these chunks alone; chunk: the one that is tried without."""
        messages = asked_of(row)
        so_far = {"thinking": "".join(texts[i] for i in kept).rstrip(), "response": ""}
        turn = await turn_for(self.engine, messages, so_far)
        choice = len(listed(row["question"] or "")) > 1
        how: dict[str, Any] = {"n": self.choice_trials} if choice else {"temperature": 0.0}
        replies = await self.engine.chat(messages, prefix=turn.text, **how)
        right, said = True, None
        for reply in replies:
            answer = Text(None, split_thinking(reply.text).response)
            verdict = await judged(self.verifier, row, answer, gold)
            right = right and reply.finish == "stop" and verdict.passed is True
            said = verdict.extracted if said is None else said
        return dict(chunk=chunk, context=kept, predicted=said, correct=right)

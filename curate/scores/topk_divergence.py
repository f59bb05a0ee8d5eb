"""Every token, sentence and trace has the KL divergence of two models' choices, from their top k."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.pieces import by_piece, joined, sentences
from curate.schema import SPANS, Row
from curate.step import Score

LEAST = 1e-9  # of the mass outside of the top k: below is rounding
_T = {"field": "response", "start": 0, "end": 2, "label": None}
_HALVES = {"id": 7, "ids": [7, 8], "logprobs": [math.log(0.5), math.log(0.25)]}
_SURE = {"id": 7, "ids": [7, 8], "logprobs": [math.log(0.75), math.log(0.125)]}
_FORWARD = 0.5 * math.log(0.5 / 0.75) + 2 * 0.25 * math.log(2) - 0.25 * math.log(1)
_REVERSE = 0.75 * math.log(0.75 / 0.5) + 2 * 0.125 * math.log(0.5)


@dataclass(frozen=True)
class TopkDivergence(Score):
    """From `{…}_tokens` and `{…}_top` of both models, as `token_logprobs` with `top_k` writes them. In nats.

    forward: KL(teacher ‖ student), large where the student misses what the teacher may say; reverse:
    KL(student ‖ teacher), large where the student may say what the teacher would not. From 0 (equal) up.
    Both are what the top k prove, a lower bound: a token that only one of them lists is at most as likely
    under the other as the last of its list, all others count as one. With k the whole vocabulary it is exact.

    forward_kl, reverse_kl: the mean over the tokens of thinking and response. …_tokens: a span for each
    token; …_sentences: the mean over each sentence's tokens, null where none begins in it. All are null where
    a model has not scored the trace; the means also where it is empty. Both models must have one tokenizer:
    for others there is `divergence`.

    min_words: as in `sentence_logprob`.
    """

    teacher: str = "teacher"
    student: str = "student"
    min_words: int = 4
    version = 3
    reads = ("thinking", "response")
    examples = (
        (
            dict(response="4.", teacher_tokens=[{**_T, "value": 0}], student_tokens=[{**_T, "value": 0}],
                 teacher_top=[_HALVES], student_top=[_SURE]),
            dict(forward_kl=_FORWARD, reverse_kl=_REVERSE,
                 forward_kl_tokens=[{**_T, "value": _FORWARD}], reverse_kl_tokens=[{**_T, "value": _REVERSE}],
                 forward_kl_sentences=[{**_T, "value": _FORWARD}],
                 reverse_kl_sentences=[{**_T, "value": _REVERSE}]),
        ),
        (
            dict(response="4.", teacher_top=None),
            dict.fromkeys(
                f"{way}_kl{of}" for way in ("forward", "reverse") for of in ("", "_tokens", "_sentences")
            ),
        ),
    )  # fmt: skip

    @property
    def columns(self) -> tuple[str, ...]:
        both = (self.teacher, self.student)
        return (*self.reads, *(f"{of}_{what}" for of in both for what in ("tokens", "top")))

    @property
    def writes(self) -> dict[str, Any]:
        return {
            f"{way}_kl{of}": SPANS if of else pl.Float64
            for way in ("forward", "reverse")
            for of in ("", "_tokens", "_sentences")
        }

    def row(self, row: Row) -> Mapping[str, Any]:
        if any(row[c] is None for c in self.columns if c not in self.reads):
            return dict.fromkeys(self.writes)
        places, tops = zip(*(self._of(row, model) for model in (self.teacher, self.student)), strict=True)
        ids = [[top["id"] for top in model] for model in tops]
        if places[0] != places[1] or ids[0] != ids[1]:
            raise UserError(
                f"{self.teacher} and {self.student} cut this text into other tokens, so their choices cannot "
                "be compared one by one; take divergence, which needs no common tokenizer"
            )
        found: dict[str, Any] = {}
        teacher, student = (
            [list(zip(t["ids"], t["logprobs"], strict=True)) for t in model] for model in tops
        )
        for way, p, q in (("forward", teacher, student), ("reverse", student, teacher)):
            values = [kl(a, b) for a, b in zip(p, q, strict=True)]
            spans = [dict(field=f, start=a, end=b, label=None, value=v)
                     for (f, a, b), v in zip(places[0], values, strict=True)]  # fmt: skip
            found[f"{way}_kl"] = sum(values) / len(values) if values else None
            found[f"{way}_kl_tokens"] = spans
            found[f"{way}_kl_sentences"] = self._by_sentence(row, spans)
        return found

    def _of(self, row: Row, model: str) -> tuple[list[Any], list[Any]]:
        """Where the tokens of one model stand, and what it might have said there."""
        tokens, top = row[f"{model}_tokens"], row[f"{model}_top"]
        return [(t["field"], t["start"], t["end"]) for t in tokens], top

    def _by_sentence(self, row: Row, spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for name in self.reads:
            text, mine = row[name] or "", [s for s in spans if s["field"] == name]
            for piece, values in by_piece(text, joined(text, sentences(text), self.min_words), mine):
                value = sum(values) / len(values) if values else None
                found.append(dict(field=name, start=piece.start, end=piece.end, label=None, value=value))
        return found


def kl(p: Sequence[tuple[int, float]], q: Sequence[tuple[int, float]]) -> float:
    """The least KL(p ‖ q), in nats, that two lists of the most probable (id, log-probability) leave open.

    Of what p alone lists, q has at most the probability of its own last for each, and at most what its list
    leaves over. The best case for q is then a straight look: the divergence is convex in that one number.
    Infinity where that last, or q's own probability of what p lists, is 0 (a log-probability of -inf).
    """
    theirs = dict(q)
    common = [(math.exp(x), x, theirs[i]) for i, x in p if i in theirs]
    alone = [math.exp(x) for i, x in p if i not in theirs]
    total = sum(a * (x - y) for a, x, y in common if a)
    only = sum(alone)
    rest_p = max(1 - sum(a for a, _, _ in common) - only, LEAST)  # what p lists in no place
    rest_q = max(1 - sum(math.exp(y) for _, _, y in common), LEAST)
    if only:  # in logarithms: exp(-800) is 0, and its logarithm is not -800
        left = max(1 - sum(map(math.exp, theirs.values())), LEAST)
        most = min(math.log(len(alone)) + min(theirs.values(), default=0.0), math.log(left))
        share = min(math.log(rest_q) + math.log(only) - math.log(only + rest_p), most)
        total += only * (math.log(only) - share)
        rest_q = max(rest_q - math.exp(share), LEAST)
    return max(0.0, total + rest_p * math.log(rest_p / rest_q))

"""A trace, its sentences and tokens have the log-ratio of two models: how much likelier one finds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.schema import SPANS, Row
from curate.step import Score
from curate.turns import paired


@dataclass(frozen=True)
class Divergence(Score):
    """From `{…}_tokens` and `{…}_sentences` of both models. Natural logarithms, from -infinity (the teacher
    rules the text out) to infinity (the student does); above 0 the teacher finds it likelier.

    divergence: (log P_teacher - log P_student of the whole trace) / number of the student's tokens, in nats a
    token. The difference needs no common tokenizer. Over traces that the teacher sampled at temperature 1 its
    mean estimates the forward KL of the student from the teacher; a single trace may well be below 0.
    divergence_sentences: a span for each sentence; value: log p_teacher - log p_student, with p the geometric
    mean of the token probabilities, in nats. Null: not scored by both models, empty, or ruled out by both.
    divergence_tokens: a span for each token; value: log P_teacher - log P_student of it, in nats, null where
    both rule it out. Null where the models cut this trace into other tokens.

    For the distance of the two distributions, and not of what was written, see `topk_divergence`.
    """

    teacher: str = "teacher"
    student: str = "student"
    examples = (
        (
            dict(
                teacher_tokens=[dict(field="response", start=0, end=4, label=None, value=math.log(0.8))],
                student_tokens=[
                    dict(field="response", start=0, end=2, label=None, value=math.log(0.5)),
                    dict(field="response", start=2, end=4, label=None, value=math.log(0.4)),
                ],
                teacher_sentences=[dict(field="response", start=0, end=4, label=None, value=0.8)],
                student_sentences=[dict(field="response", start=0, end=4, label=None, value=math.sqrt(0.2))],
            ),
            dict(
                divergence=math.log(4) / 2,
                divergence_sentences=[
                    dict(field="response", start=0, end=4, label=None, value=math.log(0.8 / math.sqrt(0.2)))
                ],
                divergence_tokens=None,
            ),
        ),
        (
            dict(teacher_tokens=None),
            dict(divergence=None, divergence_sentences=None, divergence_tokens=None),
        ),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(
            f"{of}_{what}" for of in (self.teacher, self.student) for what in ("tokens", "sentences")
        )

    @property
    def writes(self) -> dict[str, Any]:
        return {"divergence": pl.Float64, "divergence_sentences": SPANS, "divergence_tokens": SPANS}

    def row(self, row: Row) -> Mapping[str, Any]:
        if any(row[c] is None for c in self.columns):
            return dict.fromkeys(self.writes)
        mine, theirs = row[f"{self.student}_tokens"], row[f"{self.teacher}_tokens"]
        whole = sum(t["value"] for t in theirs) - sum(t["value"] for t in mine) if mine else math.nan
        spans = []
        for span, (p_teacher, p_student) in paired(row, (self.teacher, self.student)):
            spans.append({**span, "value": log_ratio(p_teacher, p_student)})
        return {
            "divergence": None if math.isnan(whole) else whole / len(mine),
            "divergence_sentences": spans,
            "divergence_tokens": _by_token(theirs, mine),
        }


def _by_token(theirs: list[Row], mine: list[Row]) -> list[dict[str, Any]] | None:
    """The difference at each token; None where the two models cut the text in other places."""
    places = [[(t["field"], t["start"], t["end"]) for t in tokens] for tokens in (theirs, mine)]
    if places[0] != places[1]:
        return None
    pairs = ((s, t["value"], s["value"]) for t, s in zip(theirs, mine, strict=True))
    return [{**s, "value": None if p == q == -math.inf else p - q} for s, p, q in pairs]


def log_ratio(p: float | None, q: float | None) -> float | None:
    """log p - log q; None where one is not known or both are 0."""
    if p is None or q is None or p == q == 0:
        return None
    if q == 0 or p == 0:
        return math.inf if p else -math.inf
    return math.log(p) - math.log(q)

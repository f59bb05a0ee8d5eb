"""Every sentence of a trace is labelled with the model it comes from: teacher, student, both, or training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.schema import SPANS, Row
from curate.step import Score
from curate.turns import paired

FIELDS = ("thinking", "response")
TWO = ("teacher", "student", "common", "unscored")
THREE = ("teacher", "student", "shared", "boosted", "boosted_down", "unscored")
_P = {"field": "thinking", "start": 0, "end": 9, "label": None}


@dataclass(frozen=True)
class Provenance(Score):
    """From `{…}_sentences` of two or three models ("Where Did This Sentence Come From?", arXiv:2512.20908).

    p is the geometric mean that `sentence_logprob` writes, d a difference of such probabilities. Two models:
    teacher if p_teacher - p_student > beta, student if it is < -beta, else common. With `distilled`, the
    student after its training: shared if no two of the three differ by more than alpha; else teacher; else
    student; else boosted, or boosted_down where the distilled student finds it less likely than both do.
    unscored: a model has no token in the sentence. Differences are rounded to 12 digits, so that 0.4 - 0.3
    is not more than 0.1. The label says where probability comes from, not who wrote the words.

    provenance: the sentences with label, and with p_teacher - p_student as value, from -1 to 1 (null:
    unscored). {label}_in_thinking, {label}_in_response: number of sentences, 0 or more. margin_in_thinking,
    margin_in_response: the mean value of the teacher's sentences, from beta to 1; null where there are none.
    All are null where a model has not scored the trace.

    alpha: 0.05 is inferred, the paper's is not known. beta: 0.1 as reported; 0.05 to 0.15 did well, too.
    """

    teacher: str = "teacher"
    student: str = "student"
    distilled: str | None = None
    alpha: float = 0.05
    beta: float = 0.1
    examples = (
        (
            dict(teacher_sentences=[{**_P, "value": 0.9}], student_sentences=[{**_P, "value": 0.5}]),
            dict(provenance=[{**_P, "label": "teacher", "value": 0.4}],
                 teacher_in_thinking=1, student_in_thinking=0, common_in_thinking=0, unscored_in_thinking=0,
                 teacher_in_response=0, student_in_response=0, common_in_response=0, unscored_in_response=0,
                 margin_in_thinking=0.4, margin_in_response=None),
        ),
        (
            dict(teacher_sentences=None, student_sentences=[{**_P, "value": 0.5}]),
            dict.fromkeys(["provenance", *(f"{x}_in_{f}" for f in FIELDS for x in (*TWO, "margin"))]),
        ),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= self.beta < 1:
            raise UserError(
                f"alpha={self.alpha} and beta={self.beta} label no sentence rightly; 0 ≤ alpha ≤ beta < 1"
            )

    @property
    def models(self) -> tuple[str, ...]:
        return (self.teacher, self.student, *([self.distilled] if self.distilled else []))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{of}_sentences" for of in self.models)

    @property
    def writes(self) -> dict[str, Any]:
        counts = [f"{x}_in_{f}" for f in FIELDS for x in (THREE if self.distilled else TWO)]
        margins = {f"margin_in_{f}": pl.Float64 for f in FIELDS}
        return {"provenance": SPANS, **dict.fromkeys(counts, pl.Int64), **margins}

    def row(self, row: Row) -> Mapping[str, Any]:
        if any(row[c] is None for c in self.columns):
            return dict.fromkeys(self.writes)
        found: dict[str, Any] = {c: 0 if t == pl.Int64 else None for c, t in self.writes.items()}
        spans = []
        for span, known in paired(row, self.models):
            label = origin(known, self.alpha, self.beta)
            value = None if label == "unscored" else known[0] - known[1]  # type: ignore[operator]
            spans.append({**span, "label": label, "value": value})
            found[f"{label}_in_{span['field']}"] += 1
        for name in FIELDS:
            over = [s["value"] for s in spans if s["field"] == name and s["label"] == "teacher"]
            found[f"margin_in_{name}"] = sum(over) / len(over) if over else None
        return found | {"provenance": spans}


def origin(known: tuple[float | None, ...], alpha: float, beta: float) -> str:
    """The label of a sentence with these probabilities: teacher's, student's and, of three, distilled's."""
    if None in known:
        return "unscored"
    teacher, student, *after = [p for p in known if p is not None]
    d = round(teacher - student, 12)
    if after:
        apart = max(
            abs(round(p - q, 12)) for p, q in ((teacher, student), (teacher, *after), (student, *after))
        )
        if apart <= alpha:
            return "shared"
    if abs(d) > beta:
        return "teacher" if d > 0 else "student"
    if not after:
        return "common"
    return "boosted_down" if after[0] < min(teacher, student) else "boosted"

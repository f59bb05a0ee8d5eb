"""Each trace is held against a reference model's of its problem: same answer, same mistakes, same words.

A student that scores like its teacher need not reason like it ("fidelity": arXiv:2505.15442), so accuracy,
agreement, reasoning agreement and calibration stand side by side, and none of them is taken for another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.errors import need
from curate.step import Score
from curate.together import by_problem
from curate.turns import reasoning
from curate.votes import ballots

ORDER = 4  # the longest word n-gram that is compared
_ANSWER = {"score": None, "why": "equal"}


@dataclass(frozen=True)
class Fidelity(Score):
    """Over the traces of two models or more in one table, told apart by `model`, already judged by `verdict`.

    agreement: the share of the reference's answers to this problem that are this trace's answer, right or
    wrong, 0 to 1; a trace without an answer agrees with nobody. Null: the reference gave none.
    inherited: the same among the reference's wrong answers; null where it made no mistake. Two models agree
    on what is right by being right: only shared mistakes tell a copy.
    reasoning_agreement: mean sentence BLEU (words, up to 4-grams, brevity penalty) of the thinking, or of the
    response where there is none, against the reference's, 0 to 1; null where there is no text to compare.
    confidence: the share of this model's own answers to the problem that are this one, 0 to 1; with a single
    sample a problem it is always 1. Null: the trace has no answer.
    The reference's own rows have confidence alone. `side_by_side` makes one line a model of it.
    """

    reference: str
    verdict: str = "math_equal"
    version = 2
    reads = ("problem_id", "trace_id", "model", "thinking", "response")
    takes = {"verdict": "verdicts"}
    example_fields = {"reference": "teacher"}
    examples = (
        (
            [
                dict(problem_id="p", trace_id="t1", model="teacher", response="2 and 2 is 5",
                     math_equal={"passed": False, "extracted": "5", **_ANSWER}),
                dict(problem_id="p", trace_id="t2", model="teacher", response="2 and 2 is 4",
                     math_equal={"passed": True, "extracted": "4", **_ANSWER}),
                dict(problem_id="p", trace_id="s1", model="student", response="2 and 2 is 5",
                     math_equal={"passed": False, "extracted": "5.0", **_ANSWER}),
                dict(problem_id="p", trace_id="s2", model="student", response="",
                     math_equal={"passed": False, "extracted": None, **_ANSWER}),
            ],
            [
                dict(agreement=None, inherited=None, reasoning_agreement=None, confidence=0.5),
                dict(agreement=None, inherited=None, reasoning_agreement=None, confidence=0.5),
                dict(agreement=0.5, inherited=1.0, confidence=1.0,
                     reasoning_agreement=(1 + (0.8 * 0.75 * 2 / 3 * 0.5) ** 0.25) / 2),
                dict(agreement=0.0, inherited=0.0, reasoning_agreement=None, confidence=None),
            ],
        ),
    )  # fmt: skip

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.verdict)

    @property
    def writes(self) -> dict[str, Any]:
        return dict.fromkeys(("agreement", "inherited", "reasoning_agreement", "confidence"), pl.Float64)

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        votes = ballots(frame, self.verdict).select("row", "key", "passed").lazy()
        rows = frame.select("row", "problem_id", "trace_id", "model", text=reasoning().fill_null(""))
        joined = rows.join(votes, on="row", how="left")
        found = [line for traces in by_problem(joined) for line in self._compared(traces.to_dicts())]
        return pl.LazyFrame(found, schema={"row": pl.UInt32, **self.writes}, orient="row")

    def _compared(self, traces: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """Each trace of one problem with its four values."""
        theirs = [t for t in traces if t["model"] == self.reference]
        said = [t["key"] for t in theirs if t["key"] is not None]
        wrong = [t["key"] for t in theirs if t["key"] is not None and t["passed"] is False]
        words = [t["text"].split() for t in theirs if t["text"].strip()]
        own: dict[str, list[int]] = {}
        for t in traces:
            own.setdefault(t["model"], []).extend([t["key"]] if t["key"] is not None else [])
        lines = []
        for t in traces:
            confidence = None if t["key"] is None else _share(own[t["model"]], t["key"])
            values: tuple[float | None, ...] = (None, None, None)
            if t["model"] != self.reference:
                mine = t["text"].split()
                alike = [bleu(mine, other) for other in words] if mine else []
                bleus = sum(alike) / len(alike) if alike else None
                values = (_share(said, t["key"]), _share(wrong, t["key"]), bleus)
            lines.append((t["row"], *values, confidence))
        return lines


def _share(answers: list[int], answer: int | None) -> float | None:
    return answers.count(answer) / len(answers) if answers else None  # type: ignore[arg-type]


def bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """Sentence BLEU of words against a reference, 0 to 1: a copy has 1, a text without a common word 0.

    An order without a hit counts a tenth of one (method 1 of Chen and Cherry 2014); texts shorter than four
    words are compared up to their own length.
    """
    logs, orders = 0.0, min(ORDER, len(words), len(reference))
    for n in range(1, orders + 1):
        mine, theirs = (
            Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (words, reference)
        )
        hits, total = sum((mine & theirs).values()), len(words) - n + 1
        if n == 1 and not hits:
            return 0.0
        logs += math.log((hits or 0.1) / total)
    if not orders:
        return 0.0
    brief = min(0.0, 1 - len(reference) / len(words))
    return math.exp(logs / orders + brief)


def side_by_side(traces: pl.LazyFrame, verdict: str = "math_equal", bins: int = 10) -> pl.DataFrame:
    """One line a model: traces, accuracy, means of fidelity's columns, how far its confidence is off.

    calibration_error: the mean distance of confidence and accuracy over `bins` equal parts of 0 to 1, each
    weighted by its traces (expected calibration error); overconfidence: the mean of confidence minus right.
    Both over the judged traces with an answer; null where there are none.
    """
    have, means = traces.collect_schema(), ("agreement", "inherited", "reasoning_agreement", "confidence")
    need(have, [verdict], "put the verifier of this name into the pipeline")
    need(have, means, "put Fidelity(REFERENCE) into the pipeline")
    right = pl.col(verdict).struct.field("passed").cast(pl.Float64)
    rows = traces.filter(pl.col("trace_id").is_not_null()).with_columns(right=right)
    known = rows.filter(pl.col("right").is_not_null() & pl.col("confidence").is_not_null())
    part = (pl.col("confidence") * bins).floor().clip(0, bins - 1)
    off = (pl.col("confidence").mean() - pl.col("right").mean()).abs()
    parts = known.group_by("model", part=part).agg(off=off, n=pl.len())
    errors = parts.group_by("model").agg(
        calibration_error=(pl.col("off") * pl.col("n")).sum() / pl.col("n").sum()
    )
    over = known.group_by("model").agg(overconfidence=(pl.col("confidence") - pl.col("right")).mean())
    lines = rows.group_by("model").agg(
        traces=pl.len(), accuracy=pl.col("right").mean(), **{c: pl.col(c).mean() for c in means}
    )
    whole = lines.join(errors, on="model", how="left").join(over, on="model", how="left")
    return whole.sort("model").collect()

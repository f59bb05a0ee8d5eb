"""Every row judged once in killable processes, with the seconds that the grader itself took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from curate.pool import Abstained, Pool
from curate.step import Verdict, Verifier

Rows = list[dict[str, Any]]


class Judged(NamedTuple):
    """One row: its label, the verdict, and the seconds it took."""

    label: bool | None
    passed: bool | None
    seconds: float
    why: str


class Part(NamedTuple):
    """One source through one grader, the seconds of the whole, and which rows the pool cut off."""

    rows: list[Judged]
    wall: float
    cut_off: list[int]


@dataclass(frozen=True)
class Around(Verifier):
    """A grader under its own limits; a subclass says what happens around it."""

    grader: Any

    @property
    def columns(self) -> tuple[str, ...]:
        return self.grader.columns

    @property
    def timeout_s(self) -> float:
        return float(getattr(self.grader, "timeout_s", 5.0))

    @property
    def memory_mb(self) -> int:
        return int(getattr(self.grader, "memory_mb", 4096))


@dataclass(frozen=True)
class Timed(Around):
    """The verdict of a grader, with the seconds it took in place of the score."""

    def row(self, row: Any) -> Verdict:
        began = time.perf_counter()
        verdict = self.grader.row(row)
        return verdict._replace(score=time.perf_counter() - began)


def judged(pool: Pool, grader: Any, rows: Rows) -> Part:
    """One verdict a row, in order; what the pool cut off abstains, after its limit."""
    out: list[Judged] = [Judged(row["label"], None, 0.0, "lost") for row in rows]
    cut_off: list[int] = []
    step, began = Timed(grader), time.perf_counter()
    for index, value in pool.map(step, rows):
        if isinstance(value, Abstained):
            cut_off.append(index)
            value = Verdict(None, value.why, score=step.timeout_s)
        out[index] = Judged(rows[index]["label"], value.passed, value.score, value.why)
    return Part(out, time.perf_counter() - began, cut_off)

"""The benchmark of selection methods: its intervals, and the differences planted in its teachers."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from peers.narrators import STYLES, Narrator, teachers, understood  # noqa: E402
from peers.students import HELD_OUT, made, points, spread, t_quantile, verdict  # noqa: E402


def test_intervals_are_those_of_students_t() -> None:
    table = {1: 12.7062, 2: 4.3027, 4: 2.7764, 9: 2.2622, 100: 1.9840}
    assert {k: round(t_quantile(k), 4) for k in table} == table
    low, high = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 2.7764 * 0.5**0.5, 3 + 2.7764 * 0.5**0.5), abs=1e-4)
    assert points([0.01, 0.02, 0.03]) == "+2.0 [-0.5, +4.5]"
    differences = ([0.10, 0.11, 0.12], [-0.10, -0.11, -0.12], [0.1, -0.05, 0.0])
    assert [verdict(d) for d in differences] == ["better", "worse", "no difference to be seen"]


def test_a_planted_teacher_is_right_as_often_as_it_should_and_tells_it_its_own_way() -> None:
    rows = [*made(1_000).iter_rows(named=True), *HELD_OUT.iter_rows(named=True)]
    assert [e.model for e in teachers()] == [style.__name__ for style in STYLES]
    texts = {}
    for style, right in STYLES.items():
        tell = Narrator(style.__name__, right)
        said = [tell([{"role": "user", "content": r["question"]}], seed=i) for i, r in enumerate(rows)]
        ends = sum(f"\\boxed{{{r['answer']}}}" in text for r, text in zip(rows, said, strict=True))
        assert ends / len(rows) == pytest.approx(right, abs=0.04)
        texts[style.__name__] = sum(map(len, said)) / len(said)
    assert texts["terse"] < texts["steady"] < texts["hesitant"]


def test_a_question_is_understood() -> None:
    for row in [*made(1_000).iter_rows(named=True), *HELD_OUT.iter_rows(named=True)]:
        assert str(understood(row["question"]).answer) == row["answer"]

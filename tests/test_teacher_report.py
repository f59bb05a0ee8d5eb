"""Teachers are compared by the same problems, also where the student cannot score what one of them wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.teacher_report import Smoke, TeacherReport, teacher_report

ROWS = pl.DataFrame({"question": [f"What is {i} + {7 - i}?" for i in range(5)], "answer": ["7"] * 5})


def short(messages: Any) -> str:
    return r"it is \boxed{7}"


def long(messages: Any) -> str:
    """Once more than the 512 tokens that the student's context holds."""
    return "so " * (600 if "1 + 6" in messages[0]["content"] else 3) + r"it is \boxed{7}"


def endless(messages: Any) -> str:
    return "so " * 600 + r"it is \boxed{7}"


def wrong(messages: Any) -> str:
    return r"it is \boxed{8}"


def report(student: Path, out: Path, *scripts: Any) -> TeacherReport:
    teachers: Any = tuple(Scripted(model=f.__name__, script=f) for f in scripts)
    smoke = Smoke(steps=1, seeds=1, max_tokens=4)
    return teacher_report(
        curate.read(ROWS.head(3)), teachers, student, curate.read(ROWS.tail(2)), out=out, smoke=smoke
    )


@pytest.mark.slow
def test_a_trace_past_the_students_context_costs_all_teachers_its_problem(
    tiny_model: Path, tmp_path: Path
) -> None:
    made = report(tiny_model, tmp_path, short, long)
    assert dict(made.table.select("teacher", "rows").iter_rows()) == {"short": 2, "long": 2}
    gone = made.run.dropped.filter(pl.col("trace_id").is_not_null()).select("model", "dropped_by").collect()
    assert sorted(gone.iter_rows()) == [("long", "token_logprobs"), ("short", "answered_by_all")]
    assert made.table["verified_rate"].to_list() == [1.0, 1.0]


def test_a_teacher_of_whom_nothing_is_left_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as said:
        report(tiny_model, tmp_path / "long", short, endless)
    words = str(said.value)
    assert f"3 were set aside in {tmp_path / 'long' / 'traces'}, one of 'endless' because " in words
    assert "holds 512" in words and "a lower max_tokens" in words and "\n" not in words
    with pytest.raises(UserError, match="solved by all of 2 teachers; give more problems or attempts"):
        report(tiny_model, tmp_path / "wrong", short, wrong)

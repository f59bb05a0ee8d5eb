"""Guidance only where the student fails, by the traces that it can follow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.methods.guidance_on_demand import guidance_on_demand

WORLD = Path(curate.__file__).parent / "demo_world"
QUESTIONS = ["easy 1", "lucky 2", "hard 3", "hard 4", "never 5"]
ROWS = pl.DataFrame({"question": QUESTIONS, "answer": [q[-1] for q in QUESTIONS]})
CLEAR = {"fine": 0.9, "coarse": 0.6, "reversed": 0.3, "verbose": 0.6}
"""What each teacher's reasoning is worth to the student."""


def learner(messages: Any, seed: int) -> str:
    """Solves easy problems always, the lucky one now and then, hard ones never."""
    question = messages[0]["content"]
    right = question.startswith("easy") or (question.startswith("lucky") and seed % 2 == 0)
    return rf"\boxed{{{question[-1] if right else 0}}}"


def follows(messages: Any, text: str, prefix: str = "") -> list[tuple[str, float]]:
    """The answer is as likely as the reasoning before it is clear."""
    chance = next((c for style, c in CLEAR.items() if style in prefix), 0.1)
    return [(text, math.log(chance))]


def teacher(style: str) -> Scripted:
    def script(messages: Any) -> str:
        question = messages[0]["content"]
        wrong = question.startswith("never") or (style == "fine" and question == "hard 4")
        more = " and so on" * 9 if style == "verbose" else ""
        return f"<think>a {style} way{more}</think>\\boxed{{{0 if wrong else question[-1]}}}"

    return Scripted(model=style, script=script)


def run(folder: Path, **options: Any) -> tuple[pl.DataFrame, pl.DataFrame, curate.Run]:
    student = Scripted(model="learner", script=learner, chances=follows)
    made = guidance_on_demand(
        curate.read(ROWS), tuple(map(teacher, CLEAR)), student=student, attempts=2, **options
    )
    done = made.run(folder)
    return done.traces.collect(), done.dropped.collect(), done


def test_only_failing_problems_are_guided_and_by_what_the_student_can_follow(tmp_path: Path) -> None:
    live, gone, done = run(tmp_path / "run")
    kept = {q: set(part["model"]) for (q,), part in live.group_by("question")}
    # coarse and verbose are worth the same, and the shorter one stays; fine is wrong about hard 4
    assert kept == {"hard 3": {"fine", "coarse"}, "hard 4": {"coarse", "verbose"}}
    solved = gone.filter(pl.col("dropped_by") == "pass_rate_band")
    assert set(solved["question"]) == {"easy 1", "lucky 2"} and solved["trace_id"].is_null().all()
    asked = gone.filter(pl.col("dropped_by") == "failed")["question"]
    assert set(asked) == {"hard 4", "never 5"}, "no right trace: the problem is left as it is"
    assert live["student_pass_rate"].max() == 0 and (live["student_comprehension"] >= 0.6 - 1e-9).all()
    best = live.filter(pl.col("model") == "fine")
    assert best["student_comprehension"].to_list() == pytest.approx([0.9])
    paid = done.ledger["rows_paid"].sum()
    other, _, again = run(tmp_path / "run", keep=1, rule="arithmetic")
    assert set(other["model"]) == {"fine", "coarse"} and again.ledger["rows_paid"].sum() == paid
    drawn, _, _ = run(tmp_path / "run", rule="random")
    assert drawn.group_by("question").len()["len"].to_list() == [2, 2]


def test_a_rule_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match="there is no rule 'best'; the rules are geometric"):
        guidance_on_demand("x.jsonl", (teacher("fine"),), student=teacher("fine"), rule="best")  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_method_on_checkpoints(tmp_path: Path) -> None:
    made = guidance_on_demand(
        curate.read(WORLD / "problems.jsonl").head(6),
        [f"hf:{WORLD / 'teacher'}?dtype=float32"],
        student=f"hf:{WORLD / 'student'}?dtype=float32",
        attempts=2,
        student_samples=2,
        keep=1,
        max_tokens=128,
    )
    live = made.run(tmp_path / "run").traces.collect()
    assert 0 < len(live) == live["problem_id"].n_unique()
    assert live["student_pass_rate"].max() == 0 and live["student_comprehension"].is_between(0, 1).all()

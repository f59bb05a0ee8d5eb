"""What a search has to be better than: the shortest of as many samples, one at random, and cutting alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.methods.random_right_of_k import random_right_of_k
from curate.methods.retro_search import report, retro_search
from curate.methods.shortest_of_k import affordable, shortest_of_k
from curate.methods.trim_after_answer import trim_after_answer

PROBLEMS = pl.DataFrame(
    {"question": [f"{i} + 1?" for i in range(9)], "answer": [f"{i + 1}" for i in range(9)]}
)


def hesitant(messages: Any, prefix: str, seed: int) -> str:
    """Right in three of four samples, at a length that hangs on the seed; at a cut it ends at once."""
    answer = int(messages[0]["content"].split()[0]) + 1 - (seed % 4 == 0)
    if prefix:
        return f"</think>{answer}" if "</think>" not in prefix else str(answer)
    doubts = "\n\nWait, is it?" * (seed % 5)
    return f"<think>It is {answer}, {answer}.{doubts}\n\nSo = {answer}.</think>\\boxed{{{answer}}}"


TEACHER = Scripted(model="t", script=hesitant)


@pytest.mark.slow
def test_the_shortest_and_a_random_one_of_the_right_ones(tmp_path: Path) -> None:
    shortest = shortest_of_k(curate.read(PROBLEMS), TEACHER, k=6).run(tmp_path / "short").traces.collect()
    drawn = {
        seed: random_right_of_k(curate.read(PROBLEMS), TEACHER, k=6, seed=seed)
        .run(tmp_path / f"random {seed}")
        .traces.collect()
        for seed in (0, 1, 2)
    }
    for found in (shortest, *drawn.values()):
        assert found["problem_id"].n_unique() == len(found) == 9
        assert found["math_equal"].struct.field("passed").all()
    length = shortest["thinking"].str.len_chars().sum()
    assert all(length < found["thinking"].str.len_chars().sum() for found in drawn.values())
    assert len({tuple(found["trace_id"]) for found in drawn.values()}) == 3
    again = random_right_of_k(curate.read(PROBLEMS), TEACHER, k=6, seed=1).run(tmp_path / "again")
    assert again.traces.collect()["trace_id"].equals(drawn[1]["trace_id"])


def test_as_many_samples_as_the_search_has_cost(tmp_path: Path) -> None:
    searched = retro_search(curate.read(PROBLEMS), TEACHER, n=2).run(tmp_path / "retro")
    made = shortest_of_k(curate.read(PROBLEMS), TEACHER, like=tmp_path / "retro")
    spent, asked = searched.ledger["output_tokens"].sum(), searched.ledger.filter(step="sample")
    k = made.steps[0].n  # type: ignore[union-attr]
    a_sample = asked["output_tokens"].item() / 18
    assert abs(k * 9 * a_sample - spent) <= 9 * a_sample / 2 and k >= 2
    with pytest.raises(UserError, match="how many samples"):
        shortest_of_k(curate.read(PROBLEMS), TEACHER)


def test_what_other_settings_cost_in_the_same_folder_does_not_count(tmp_path: Path) -> None:
    for rollouts in (3, 1):
        shared = retro_search(curate.read(PROBLEMS), TEACHER, n_rollouts=rollouts).run(tmp_path / "shared")
    alone = retro_search(curate.read(PROBLEMS), TEACHER).run(tmp_path / "alone")
    assert shared.ledger["output_tokens"].sum() > alone.ledger["output_tokens"].sum()
    assert report(shared).equals(report(alone)) and report(alone)["wasted_tokens"].item() == 0
    assert affordable(shared) == affordable(alone)


def test_cutting_alone(tmp_path: Path) -> None:
    rows = PROBLEMS.with_columns(
        thinking=pl.format("So = {}.\n\nWait, is it {}?\n\nYes.", "answer", "answer"), response="answer"
    ).with_columns(response=pl.when(pl.int_range(9) < 8).then("answer").otherwise(pl.lit("0")))
    rows.write_ndjson(tmp_path / "traces.jsonl")
    run = trim_after_answer(traces=[str(tmp_path / "traces.jsonl")]).run(tmp_path / "run")
    assert run.traces.select(pl.col("thinking").str.ends_with(".").all()).collect().item()
    kept, gone = run.traces.collect(), run.dropped.collect()
    assert kept["thinking"].to_list() == [f"So = {i + 1}." for i in range(8)]
    assert gone["dropped_by"].value_counts().sort("dropped_by").rows() == [
        ("failed", 1),
        ("trim_after_answer", 8),
    ]
    for wrong in ({}, {"problems": "x"}, {"problems": "x", "teacher": TEACHER, "traces": ["y"]}):
        with pytest.raises(UserError, match="or of files"):
            trim_after_answer(**wrong)  # type: ignore[arg-type]

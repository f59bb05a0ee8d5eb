"""Several teachers on the same problems: each is asked until it is right; every attempt is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.attempts import Attempts
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import CallFailed, UserError
from curate.methods.parallel_teachers import parallel_teachers, report
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
ROWS = pl.DataFrame(
    {
        "question": [f"{i} + 1?" for i in range(12)],
        "answer": [str(i + 1) for i in range(12)],
        "domain": ["even", "odd"] * 6,
    }
)


def says(messages: Any) -> str:
    return str(int(messages[0]["content"].split()[0]) + 1)


def honest(messages: Any) -> str:
    return rf"\boxed{{{says(messages)}}}"


def lying(messages: Any, seed: int) -> str:
    """Wrong in two of three tries, by the seed; never right about 7 + 1."""
    wrong = seed % 3 != 0 or messages[0]["content"].startswith("7 ")
    return rf"\boxed{{{0 if wrong else says(messages)}}}"


def teachers() -> tuple[Any, ...]:
    return tuple(Scripted(model=n, script=s) for n, s in (("honest", honest), ("liar", lying)))


def test_every_attempt_is_a_row_and_the_counts_reconcile(tmp_path: Path) -> None:
    pipeline = parallel_teachers(curate.read(ROWS), teachers(), attempts=6)
    run = pipeline.run(tmp_path / "run")
    live, gone = run.traces.collect(), run.dropped.collect()
    tries = gone.filter(pl.col("trace_id").is_not_null())
    assert set(live["model"]) == {"honest", "liar"}
    both = {m: set(live.filter(pl.col("model") == m)["problem_id"]) for m in ("honest", "liar")}
    assert both["honest"] == both["liar"] and live.group_by("problem_id").len()["len"].to_list() == [2] * len(
        both["liar"]
    )
    for row in live.to_dicts():
        earlier = tries.filter(
            (pl.col("problem_id") == row["problem_id"])
            & (pl.col("model") == row["model"])
            & (pl.col("dropped_by") == "failed")
        )
        assert sorted(earlier["sample"]) == list(range(row["sample"])), "each earlier try is kept, and wrong"
    lines = {(r["model"], r["domain"]): r for r in report(run).to_dicts()}
    liar = lines["liar", "odd"]
    assert liar["tried"][0] == liar["problems"] == 6 and liar["tried"] == sorted(liar["tried"], reverse=True)
    for line in lines.values():
        assert line["attempts"] == sum(line["tried"])
        assert line["attempts"] == line["kept"] + sum(d["rows"] for d in line["drops"])
    assert sum(line["attempts"] for line in lines.values()) == len(live) + len(tries)
    assert lines["honest", "even"]["accepted"] == [1.0]
    assert {d["dropped_by"] for d in lines["honest", "odd"]["drops"]} == {"answered_by_all"}
    lost = gone.filter((pl.col("dropped_by") == "answered_by_all") & (pl.col("model") == "honest"))
    assert "7 + 1?" in lost["question"].to_list() and set(lost["why"]) == {"no trace by liar"}
    funnel = {line["step"]: line for line in run.funnel().table.to_dicts()}
    assert funnel["attempts"]["born"] == len(live) + len(tries)
    assert run.ledger["calls"].sum() == len(live) + len(tries), "every attempt was a call, and no other was"


def test_a_call_that_failed_is_in_its_teachers_line_and_the_next_run_goes_on_there(tmp_path: Path) -> None:
    said: list[str] = []
    down = {"0 + 1?": 2, "1 + 1?": 1}  # the call about it that fails

    def slow(messages: Any) -> str:
        said.append(question := messages[0]["content"])
        if said.count(question) == down.get(question):
            raise CallFailed("the server is gone")
        return r"\boxed{0}" if said.count(question) == 1 else honest(messages)

    def dead(messages: Any) -> str:
        raise CallFailed("the server is gone")

    engines: Any = tuple(Scripted(model=f.__name__, script=f) for f in (slow, dead))
    problems = curate.read(ROWS.head(3).drop("domain"))
    run = parallel_teachers(problems, engines, attempts=4, intersection=False).run(tmp_path / "run")
    columns = ["model", "problems", "failed", "attempts", "kept", "tried"]
    lines = report(run).select(columns).rows()
    assert lines == [("dead", 3, 3, 0, 0, []), ("slow", 3, 2, 2, 1, [1, 1])]
    gone = run.dropped.filter(pl.col("why").str.starts_with("call failed")).collect()
    assert sorted(gone["model"]) == ["dead"] * 3 + ["slow"] * 2 and gone["sample"].null_count() == 5
    again = parallel_teachers(problems, engines, attempts=4, intersection=False).run(tmp_path / "run")
    assert report(again).select(columns).rows()[1] == ("slow", 3, 0, 5, 3, [3, 2])
    assert [said.count(q) for q in ROWS["question"].head(3)] == [3, 2, 2], (
        "what was answered was not asked again"
    )


def test_a_second_run_asks_nobody_and_another_order_of_problems_changes_nothing(tmp_path: Path) -> None:
    pipeline = parallel_teachers(curate.read(ROWS), teachers(), attempts=3, intersection=False)
    first = pipeline.run(tmp_path / "run")
    paid = first.ledger["rows_paid"].sum()
    again = pipeline.run(tmp_path / "run")
    assert again.ledger["rows_paid"].sum() == paid and again.traces.collect().equals(first.traces.collect())
    back = parallel_teachers(curate.read(ROWS.reverse()), teachers(), attempts=3, intersection=False)
    other = back.run(tmp_path / "back").traces.collect().sort("trace_id")
    assert other.equals(first.traces.collect().sort("trace_id"))


def test_a_plan_knows_how_many_questions_there_are(tmp_path: Path) -> None:
    plan = parallel_teachers(curate.read(ROWS), teachers(), attempts=5).plan()
    assert plan.steps[0].new == 24 and plan.steps[1].rows == 12 * 2 * 5


def test_what_the_gold_does_not_allow_is_not_tried_again(tmp_path: Path) -> None:
    rows = ROWS.head(2).with_columns(answer=pl.Series([None, "2"], dtype=pl.String))
    step = Attempts(teachers()[:1], verifier=MathEqual(), n=4)
    found = curate.Pipeline(curate.read(rows), [step]).run(tmp_path / "run").traces.collect()
    assert found.group_by("question").len().sort("question")["len"].to_list() == [1, 1]


def test_a_cut_trace_is_not_accepted_even_if_it_is_right(tmp_path: Path) -> None:
    engine: Any = Scripted(model="long", script=lambda messages: honest(messages) + " and on", max_tokens=1)
    step = Attempts((engine,), verifier=MathEqual(), n=3)
    found = curate.Pipeline(curate.read(ROWS.head(1)), [step]).run(tmp_path / "run").traces.collect()
    assert found["finish"].to_list() == ["length"] * 3 and found["sample"].to_list() == [0, 1, 2]


def test_what_cannot_be_told_apart_or_asked_is_refused() -> None:
    one, other = teachers()
    with pytest.raises(UserError, match="needs a tuple of engines"):
        Attempts(one, verifier=MathEqual())
    with pytest.raises(UserError, match="two teachers are called 'honest'"):
        Attempts((one, one), verifier=MathEqual())
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'verifier'"):
        Attempts((one, other))  # type: ignore[call-arg]
    with pytest.raises(UserError, match="give one that needs no model"):
        Attempts((one, other), verifier=Judge(one))
    with pytest.raises(UserError, match="n=0 attempts"):
        Attempts((one, other), verifier=MathEqual(), n=0)


@pytest.mark.slow
def test_two_checkpoints_teach_the_same_problems(tmp_path: Path) -> None:
    engines = tuple(
        HF(str(WORLD / n), dtype="float32", device="cpu", max_tokens=160) for n in ("teacher", "student")
    )
    student = HF(str(WORLD / "student"), dtype="float32", device="cpu")
    source = curate.read(WORLD / "problems.jsonl").head(4)
    made = parallel_teachers(source, engines, student, attempts=2, intersection=False)
    run = made.run(tmp_path / "run")
    table = report(run)
    total = table.group_by("model").agg(pl.col("attempts", "kept").sum()).sort("model")
    assert total["model"].to_list() == ["student", "teacher"]
    assert total["kept"][1] > total["kept"][0], "the better teacher is right more often"
    kept = table.filter(pl.col("kept") > 0)
    assert kept["perplexity"].min() >= 1
    assert all(t == sorted(t) for c in ("tokens", "perplexities") for t in kept[c].to_list())


def test_the_report_of_another_run_is_one_sentence(tmp_path: Path) -> None:
    run = curate.Pipeline(curate.read(ROWS), []).run(tmp_path / "run")
    with pytest.raises(UserError, match="no column 'math_equal'; report reads a run of parallel_teachers"):
        report(run)

"""Hard problems with distant right traces, and teachers ranked by what their student gains."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.drift import hidden_shift
from curate.engines.scripted import Scripted
from curate.errors import EngineDown, UserError
from curate.methods.data_efficient import data_efficient
from curate.teacher_report import Smoke, teacher_report
from curate.train import train

WORLD = Path(curate.__file__).parent / "demo_world"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learner(messages: Any, seed: int) -> str:
    """Solves easy problems always, hard ones never."""
    return r"\boxed{1}" if "easy" in messages[0]["content"] else r"\boxed{0}"


def tutor(messages: Any, seed: int) -> str:
    """Four ways to say it, in near copies; about the wrong problem right only by chance."""
    ways = ["first add the numbers, then double", "1+1", "look: (a+b)*2, so that is it", "let x be the sum"]
    right = "1" if "wrong" not in messages[0]["content"] or seed % 7 == 0 else "0"
    return f"<think>{ways[seed % 4]}{'.' * (seed % 3)}</think>\\boxed{{{right}}}"


def test_easy_problems_cost_the_teacher_nothing_and_the_kept_lie_apart(tmp_path: Path) -> None:
    questions = ["easy 1", "easy 2", "hard 1", "hard 2", "wrong gold"]
    rows = pl.DataFrame({"question": questions, "answer": ["1"] * 5})
    teacher, student = (Scripted(model=n, script=s) for n, s in (("tutor", tutor), ("learner", learner)))
    method: Any = data_efficient
    run = method(curate.read(rows), teacher, student, n=16, keep=4, min_right=6).run(tmp_path / "run")
    live, gone = run.traces.collect(), run.dropped.collect()
    assert set(live["question"]) == {"hard 1", "hard 2"}
    for part in live.partition_by("question"):
        starts = {t.rstrip(".") for t in part["thinking"]}
        assert len(part) == len(starts) == 4, "one of each way, not copies of one"
    easy = gone.filter(pl.col("question").str.starts_with("easy"))
    assert set(easy["dropped_by"]) == {"pass_rate_band"} and easy["trace_id"].is_null().all()
    quarantined = gone.filter((pl.col("question") == "wrong gold") & (pl.col("dropped_by") == "score_band"))
    assert len(quarantined) > 0, "a gold that is seldom met looks like a hard problem"
    calls = {r["step"]: r["calls"] for r in run.ledger.group_by("step").agg(pl.col("calls").sum()).to_dicts()}
    assert calls["sample"] == 16 * 3 and calls["student_pass_rate"] == 5
    assert live["student_pass_rate"].to_list() == [0.0] * len(live)
    assert (live["nearest_distance"] <= live["mean_distance"]).all() and live["mean_distance"].min() > 0
    for rule in ("nearest", "first", "random", "shortest"):
        other = method(curate.read(rows), teacher, student, n=16, keep=2, min_right=6, rule=rule)
        kept = other.run(tmp_path / "run").traces.collect()
        assert kept.group_by("question").len()["len"].to_list() == [2, 2]
        starts = kept.group_by("question").agg(pl.col("thinking").str.strip_chars_end(".").n_unique())
        assert rule != "nearest" or starts["thinking"].to_list() == [1, 1], "one way in two near copies"
        went = run.dropped.filter(pl.col("dropped_by") == "top_k").collect()
        later = went.filter(pl.col("question") == "hard 1")["sample"].min()
        assert rule != "first" or kept.filter(pl.col("question") == "hard 1")["sample"].max() < later
    with pytest.raises(UserError, match="there is no rule 'best'"):
        method(curate.read(rows), teacher, student, rule="best")


def arbiter(messages: Any) -> str:
    """Knows that the orient is the east, and nothing else."""
    said = messages[0]["content"]
    return f"VERDICT: {'SAME' if 'orient' in said and 'Where?' in said else 'DIFFERENT'}"


@pytest.mark.slow
def test_a_judge_sees_what_the_rule_does_not_pass(tmp_path: Path) -> None:
    """And every trace has one block of thinking, or none."""
    ways = ["4", "the orient", "5", "</think> the orient"]
    said = [rf"<think>way {i}, not {'so' * i}</think>\boxed{{\text{{{w}}}}}" for i, w in enumerate(ways[:3])]
    said.append("<think>way 3</think>" + ways[3])
    rows = pl.DataFrame({"question": ["Where?", "2 + 2?"], "answer": ["east", "4"]})
    teacher = Scripted(model="tutor", script=lambda messages, seed: said[seed % 4])
    student = Scripted(model="learner", script=["no"])
    judge = Scripted(model="arbiter", script=arbiter)
    method: Any = data_efficient
    right, calls = {}, {}
    for sees in (None, "undecided", "failed"):
        how = {} if sees is None else {"judge": judge, "judge_sees": sees}
        made = method(curate.read(rows), teacher, student, n=16, min_right=1, **how)
        run = made.run(tmp_path / str(sees))
        live, gone = run.traces.collect(), run.dropped.collect()
        right[sees] = {*zip(live["question"], live["response"], strict=True)}
        calls[sees] = run.ledger.filter(pl.col("step") == "judge")["calls"].sum()
        stray = gone.filter(pl.col("response").str.contains("</think>"))
        assert len(stray) > 0 and set(stray["dropped_by"]) == {"failed"}
        assert all("a stray </think> in the response" in why for why in stray["why"])
    assert right[None] == {("2 + 2?", r"\boxed{\text{4}}")}
    both = right[None] | {("Where?", r"\boxed{\text{the orient}}")}
    assert calls[None] == 0 < calls["undecided"] <= calls["failed"] and right["failed"] == both
    with pytest.raises(UserError, match="judge_sees='all' is none of failed, undecided"):
        method(curate.read(rows), teacher, student, judge=judge, judge_sees="all")


def test_a_trace_has_thinking_unless_none_is_asked_for(tmp_path: Path) -> None:
    rows = pl.DataFrame({"question": ["2 + 2?"], "answer": ["4"]})
    teacher = Scripted(model="tutor", script=lambda messages, seed: r"\boxed{4}" + "." * (seed % 3))
    student: Any = Scripted(model="learner", script=["no"])
    kept = {}
    for thinking in ("required", "optional"):
        made = data_efficient(curate.read(rows), teacher, student, thinking=thinking)  # type: ignore[arg-type]
        run = made.run(tmp_path / "run")
        kept[thinking] = len(run.traces.collect())
        went = run.dropped.filter(pl.col("dropped_by") == "failed").collect()["why"].unique().to_list()
        assert went == ["think_format: not_met: no thinking block"] * (thinking == "required")
    assert kept["required"] == 0 < kept["optional"]
    with pytest.raises(UserError, match="thinking=True is none of required, optional"):
        data_efficient(curate.read(rows), teacher, student, thinking=True)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_method_on_checkpoints(tmp_path: Path) -> None:
    made = data_efficient(
        curate.read(WORLD / "problems.jsonl").head(6),
        f"hf:{WORLD / 'teacher'}?dtype=float32",
        f"hf:{WORLD / 'student'}?dtype=float32",
        n=4,
        keep=2,
        student_samples=2,
        min_right=1,
        max_tokens=128,
    )
    run = made.run(tmp_path / "run")
    live = run.traces.collect()
    assert 0 < len(live) and live.group_by("problem_id").len()["len"].max() == 2
    assert live["student_pass_rate"].max() <= 0.5 and (live["right_traces"] >= 1).all()
    assert live["student_pass_rate_fingerprint"].n_unique() == 1
    assert set(run.dropped.collect()["dropped_by"]) >= {"failed", "sample"}


def test_what_training_moved_is_found_in_its_layer_and_nothing_moves_by_itself(
    tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    said = ["It is 4.", "The sum is 17.", ""]
    rows = pl.DataFrame({"question": ["2 + 2?", "8 + 9?", "?"], "response": said})
    traces = curate.Pipeline(curate.read(rows), []).run(tmp_path / "run").traces
    same = hidden_shift(tiny_model, tiny_model, traces)
    assert same["shift"].to_list() == same["plane"].to_list() == [0.0] * 3
    moved = tmp_path / "moved"
    shutil.copytree(tiny_model, moved)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(3.0)
    model.save_pretrained(moved)
    found = hidden_shift(tiny_model, moved, traces)
    assert found["layer"].to_list() == [0, 1, 2] and found["shift"].to_list()[:2] == [0.0, 0.0]
    assert 0 < found["plane"][2] <= found["shift"][2] + 1e-5
    with pytest.raises(UserError, match="no trace has a text"):
        hidden_shift(tiny_model, tiny_model, traces.filter(pl.col("response") == ""))


def brief(messages: Any, seed: int) -> str:
    """Not always right at once, and easy to copy."""
    return r"\boxed{7}" if seed % 2 else r"\boxed{8}"


def verbose(messages: Any) -> str:
    """Always right, after more words than the student will have."""
    return "Let us find the sum step by step; " * 6 + r"it must be \boxed{7}"


@pytest.mark.slow
def test_the_teacher_whose_student_gains_most_comes_first(tiny_model: Path, tmp_path: Path) -> None:
    rows = pl.DataFrame({"question": [f"What is {i} + {7 - i}?" for i in range(8)], "answer": ["7"] * 8})
    teachers: Any = tuple(Scripted(model=f.__name__, script=f) for f in (verbose, brief))
    made = teacher_report(
        curate.read(rows.head(5)),
        teachers,
        tiny_model,
        curate.read(rows.tail(3)),
        out=tmp_path,
        elsewhere=curate.read(pl.DataFrame({"question": ["Which of 1 and 8 is more?"], "answer": ["8"]})),
        smoke=Smoke(steps=40, learning_rate=5e-3, optimizer="muon", seeds=1, max_tokens=16, k=4),
    )
    first, second = made.table.to_dicts()
    assert made.best == first["teacher"] == "brief"
    assert (
        first["gain"] > 0.3 > 0.1 > second["gain"] and first["own_accuracy"] < second["own_accuracy"] == 1.0
    )
    assert first["rows"] == second["rows"] == 5 and first["tokens"] < second["tokens"]
    assert first["gain"] == pytest.approx(first["after"] - first["before"]) and first["seeds"] == [
        first["gain"]
    ]
    assert 0 < first["verified_rate"] < 1 == second["verified_rate"]
    assert str(made).index("brief") < str(made).index("verbose")
    assert first["shift"] > 0 and second["shift"] > 0
    # where 8 is right, what was learnt (to say 7) does not help: it costs, or gains nothing
    assert -1 <= second["elsewhere"] <= 0 >= first["elsewhere"] >= -1
    assert f"elsewhere {first['elsewhere']:+.1%}" in str(made)


@pytest.mark.slow
def test_a_report_that_was_interrupted_goes_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.DataFrame({"question": [f"What is {i} + {7 - i}?" for i in range(6)], "answer": ["7"] * 6})
    asked: list[str] = []
    trained: list[str] = []
    stops = {"tutor": 2, "train": 2}  # the call that fails: of a teacher, and of the training

    def stop(what: str, number: int) -> None:
        if number == stops.get(what):
            del stops[what]
            raise EngineDown(f"{what} is down")

    def sure(messages: Any) -> str:
        asked.append("sure")
        return r"so it is \boxed{7}"

    def tutored(messages: Any) -> str:
        asked.append("tutored")
        stop("tutor", asked.count("tutored"))
        return r"it must be \boxed{7}"

    def counted(data: Path, **options: Any) -> Any:
        trained.append(str(options["output_dir"]))
        stop("train", len(trained))
        return train(data, **options)

    def report() -> Any:
        teachers: Any = tuple(Scripted(model=f.__name__, script=f) for f in (sure, tutored))
        smoke = Smoke(steps=2, seeds=1, max_tokens=8)
        problems = curate.read(rows.head(4)), teachers, tiny_model, curate.read(rows.tail(2))
        return teacher_report(*problems, out=tmp_path, smoke=smoke)

    monkeypatch.setattr("curate.teacher_report.train", counted)
    with pytest.raises(EngineDown, match="tutor is down"):
        report()
    with pytest.raises(EngineDown, match="train is down"):
        report()
    answers = len(asked)
    made = report()
    first, second = dict.fromkeys(trained)
    assert trained == [first, second, first, second] and Path(first).name == "seed-0"
    assert set(made.table["teacher"]) == {"sure", "tutored"} and made.table["rows"].to_list() == [4, 4]
    models = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert report().table.equals(made.table) and len(asked) == answers, "no teacher was asked again"
    assert models == {path: path.stat().st_mtime_ns for path in models} and len(models) == 2

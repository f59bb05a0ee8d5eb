"""Methods that select, from the command line: on the demo world, and on real traces for scoring alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import curate

WORLD = Path(curate.__file__).parent / "demo_world"


def cli(*argv: object) -> subprocess.CompletedProcess[str]:
    """The command's outcome; it has to succeed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "curate.cli", *map(str, argv)]
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
def test_data_efficient_on_the_demo_world(tmp_path: Path) -> None:
    """Hard problems, right traces that lie apart; a second rule in the same folder pays for nothing."""
    argv = ["run", "data_efficient", WORLD / "problems.jsonl", f"hf:{WORLD / 'teacher'}?dtype=float32",
            f"hf:{WORLD / 'student'}?dtype=float32", "--n", 4, "--keep", 2, "--student-samples", 2,
            "--min-right", 1, "--max-tokens", 160, "--max-samples", 8, "--out", tmp_path / "run"]  # fmt: skip
    kept: dict[str, set[str]] = {}
    paid: list[int] = []
    for rule in ("shortest", "farthest"):
        assert "student_pass_rate" in cli(*argv, "--rule", rule).stdout
        run = curate.Run(tmp_path / "run")
        live = run.traces.collect()
        paid.append(run.ledger["rows_paid"].sum())
        kept[rule] = set(live["problem_id"])
        assert len(live) > 0 and live.group_by("problem_id").len()["len"].max() == 2
        assert live["math_equal"].struct.field("passed").all()
        assert live["student_pass_rate"].max() <= 0.5 and (live["right_traces"] >= 1).all()
    assert kept["shortest"] == kept["farthest"] and paid[0] == paid[1] > 0
    assert set(run.dropped.collect()["dropped_by"]) >= {"failed", "sample", "farthest"}


@pytest.fixture(scope="module")
def scorer(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, with room for a real trace in its context."""
    place = tmp_path_factory.mktemp("scorer") / "model"
    shutil.copytree(tiny_model, place)
    config = place / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 4096}))
    return place


@pytest.mark.slow
def test_teacher_guided_selection_of_real_traces(data: Path, scorer: Path, tmp_path: Path) -> None:
    """Nothing is sampled: both models only read; the trace with most sentences of the teacher stays."""
    traces, out = data / "traces" / "short_graded.jsonl.gz", tmp_path / "run"
    models = (f"hf:{WORLD / 'teacher'}?dtype=float32", f"hf:{scorer}?dtype=float32")
    plain = tmp_path / "plain"  # the demo's template begins the thinking, which these traces have not
    shutil.copytree(WORLD / "teacher", plain)
    template = plain / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\\n<think>\\n", "assistant\\n"))
    models = (f"hf:{plain}?dtype=float32", f"hf:{scorer}?dtype=float32")
    argv = ["run", "teacher_guided_selection", traces, *models, "--count-in", "response"]
    cli(*argv, "--max-samples", 40, "--out", out)
    run = curate.Run(out)
    live, gone = run.traces.collect(), run.dropped.collect()
    assert run.ledger.filter(pl.col("step") == "sample")["rows_paid"].sum() == 0
    assert 1 < len(live) == live["problem_id"].n_unique() and "top_k" in set(gone["dropped_by"])
    rivals = gone.filter(pl.col("dropped_by") == "top_k").join(live, on="problem_id", suffix="_kept")
    assert (rivals["teacher_in_response"] <= rivals["teacher_in_response_kept"]).all()
    for row in [*live.to_dicts(), *gone.filter(pl.col("dropped_by") == "top_k").to_dicts()]:
        spans = row["provenance"]
        assert "".join(row["response"][s["start"] : s["end"]] for s in spans) == row["response"]
        assert row["teacher_fingerprint"] != row["student_fingerprint"]


@pytest.mark.slow
def test_data_efficient_on_real_traces(data: Path, scorer: Path, tmp_path: Path) -> None:
    """The student is asked, the teacher is not: of each problem the right traces that lie apart stay."""
    traces, out = data / "traces" / "short_graded.jsonl.gz", tmp_path / "run"
    argv = ["run", "data_efficient", traces, f"hf:{scorer}", f"hf:{scorer}", "--max-samples", 40]
    argv += ["--thinking", "optional", "--student-samples", 2, "--max-tokens", 8]
    cli(*argv, "--keep", 2, "--min-right", 1, "--out", out)
    run = curate.Run(out)
    live = run.traces.collect()
    assert run.ledger.filter(pl.col("step") == "sample")["rows_paid"].sum() == 0
    assert 1 < len(live) and live.group_by("problem_id").len()["len"].max() == 2
    assert live["math_equal"].struct.field("passed").all() and (live["student_pass_rate"] == 0).all()
    assert live["student_pass_rate_cut"].max() == 2, "a low limit is told"

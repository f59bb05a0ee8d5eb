"""`curate demo`: the whole road on the shipped models, measured in this test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import datasets
import polars as pl
import pytest
from served import serving
from small_demo import small_demo

from curate.demo import WORLD


@pytest.mark.slow
def test_the_student_gains_thirty_points(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "curate.cli", "demo", "--out", str(tmp_path / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    before, after = found["before"], found["after"]
    assert after["accuracy"] - before["accuracy"] >= 0.30, (before, after)
    for arm in (before, after):
        low, high = arm["interval"]
        assert low <= arm["accuracy"] <= high and arm["mean_tokens"] > 0
    assert after["mean_tokens"] < before["mean_tokens"], "it was taught to stop once it has the answer"

    funnel = {line["step"]: line for line in found["funnel"]}
    run = tmp_path / "demo" / "run"
    live, dropped = (pl.read_parquet(run / f"{t}.parquet") for t in ("live", "dropped"))
    assert len(live) + len(dropped) == funnel["read"]["rows_in"] + sum(
        line["born"] for line in found["funnel"]
    )
    assert funnel["failed"]["rows_out"] == len(live) == after["traces"]
    assert dropped["dropped_by"].is_in(["failed"]).sum() > 100, "the teacher is not always right"

    data = datasets.load_dataset(
        str(tmp_path / "demo" / "data" / "verified-trimmed"), cache_dir=str(tmp_path / "c")
    )
    assert len(data["train"]) == len(live)
    seen = {q for q in live["question"]}
    heldout = pl.read_ndjson(Path("curate/demo_world/heldout.jsonl"))["question"]
    assert not seen & set(heldout), "the student is measured on problems it never saw"


@pytest.mark.slow
def test_the_road_is_walked_with_a_teacher_behind_a_server(tmp_path: Path) -> None:
    with serving(WORLD / "teacher") as url:
        small_demo(tmp_path / "demo", teacher=f"{url}#{WORLD / 'teacher'}")
    ledger = pl.read_parquet(tmp_path / "demo" / "run" / "ledger.parquet")
    assert ledger.filter(pl.col("calls") > 0)["engine"].to_list() == ["teacher"]

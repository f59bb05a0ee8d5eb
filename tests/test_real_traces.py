"""`curate_traces` over every real trace: nothing is lost, and the verdicts agree with the labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import polars as pl
import pytest

from curate.methods.curate_traces import curate_traces
from curate.train import train

STUDENT = Path(__file__).parent.parent / "curate" / "demo_world" / "student"


@pytest.mark.slow
def test_every_real_trace_ends_live_or_dropped_with_a_reason(data: Path, tmp_path: Path) -> None:
    files = sorted(str(p) for p in (data / "traces").glob("*.jsonl.gz"))
    benchmarks = [str(data / "problems" / "competition.jsonl.gz")]
    run = curate_traces(files, benchmarks=benchmarks).run(tmp_path / "run")
    keys = ["source", "source_id"]
    live = run.traces.select(*keys, "decided", "extra").collect()
    dropped = run.dropped.select(*keys, "dropped_by", "why").collect()
    assert len(live) + len(dropped) == 22_975
    assert pl.concat([live.select(keys), dropped.select(keys)]).n_unique() == 22_975
    assert dropped["why"].null_count() == 0 and (dropped["why"].str.len_chars() > 0).all()
    funnel = run.funnel().table
    assert funnel["rows_out"].to_list()[:-1] == funnel["rows_in"].to_list()[1:]
    assert funnel["rows_out"][-1] == len(live) and funnel["dropped"].sum() == len(dropped)
    assert live["decided"].struct.field("passed").all()
    labels = live["extra"].str.json_path_match("$.label").value_counts()
    wrong = labels.filter(pl.col("extra") == "false")["count"].sum()
    right = labels.filter(pl.col("extra") == "true")["count"].sum()
    assert wrong / (wrong + right) < 0.01, f"{wrong} of {wrong + right} kept rows are labelled wrong"


@pytest.mark.slow
def test_stored_traces_become_a_dataset_that_a_student_trains_on(data: Path, tmp_path: Path) -> None:
    names = ("farel", "thought_anchors_math", "rgym_multisample")
    files = [str(data / "traces" / f"{name}.jsonl.gz") for name in names]
    run = curate_traces(files, trim=True).run(tmp_path / "run")
    parents = run.dropped.filter(pl.col("why") == "rewritten").select("trace_id", "thinking").collect()
    children = run.traces.filter(pl.col("parent_id").is_not_null()).select("parent_id", "thinking").collect()
    assert len(children) > 50
    both = children.join(parents, left_on="parent_id", right_on="trace_id", suffix="_parent")
    assert len(both) == len(children)
    assert all(p.startswith(c) and len(c) < len(p) for _, c, p in both.iter_rows())
    run.publish(tmp_path / "data")
    loaded = datasets.load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == run.traces.select(pl.len()).collect().item()
    student = tmp_path / "plain"  # the demo student; some rows have no thinking, so no block is opened
    shutil.copytree(STUDENT, student)
    template = student / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\\n<think>\\n", "assistant\\n"))
    report = train(
        tmp_path / "data", model=student, output_dir=tmp_path / "student", max_steps=3, on_overflow="split"
    )
    assert report.steps == 3 and report.losses[-1] < report.losses[0]

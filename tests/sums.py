"""Rows that teach sums, and a short training on them: what the tests of the trainer share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curate.train import TrainReport, train

THOUGHT = "<think>\n2 + 2 is 4.\nWait, it is 4.\n</think>\n\n\\boxed{4}"


def talk(*contents: str, **columns: Any) -> dict[str, Any]:
    """A row whose turns are by user and assistant alternately."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]} | columns


def rows(count: int) -> list[dict[str, Any]]:
    """Sums with traces of different lengths."""
    steps = [" ".join(f"{i} + {k} = {i + k}." for k in range(1, 1 + i % 4)) for i in range(count)]
    said = [f"<think>\n{s} Hmm.\n</think>\n\n\\boxed{{{i + 9}}}" for i, s in enumerate(steps)]
    return [talk(f"What is {i} + 9?", s) for i, s in enumerate(said)]


def write(path: Path, table: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


def fit(model: Path, scratch: Path, name: str = "out", count: int = 12, **arguments: Any) -> TrainReport:
    """A short training on a few sums, in the folder `name` of `scratch`."""
    data = write(scratch / f"{count}.jsonl", rows(count))
    given = {"learning_rate": 1e-3, "batch_size": 4, "packing": False, "max_steps": 4} | arguments
    return train(data, model=model, output_dir=scratch / name, **given)

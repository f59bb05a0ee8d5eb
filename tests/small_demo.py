"""The demo's road with a few problems and two steps of training: for what it runs on, not for its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate.demo
from curate.run import Run

PROBLEMS = 12


def small_demo(folder: Path, **how: Any) -> dict[str, Any]:
    """What the demo says as JSON; every sample is accounted for, and the student saw what is left."""
    with pytest.MonkeyPatch.context() as smaller:
        for name, value in (("PROBLEMS", PROBLEMS), ("HELD_OUT", 4), ("STEPS", 2)):
            smaller.setattr(curate.demo, name, value)
        found = curate.demo.demo(folder, **how).as_json()
    run = Run(folder / "run")
    born = sum(line["born"] for line in found["funnel"])
    live, dropped = (table.select(pl.len()).collect().item() for table in (run.traces, run.dropped))
    assert live + dropped == PROBLEMS + born and born >= PROBLEMS * curate.demo.SAMPLES
    assert live == found["after"]["traces"] > 0
    return found

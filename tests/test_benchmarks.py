"""What the benchmarks find wrong is counted, so that their exit code says it."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import growth
import overhead
from peers.busy import Gauge
from peers.waits import lost


def test_every_benchmark_says_where_it_ran() -> None:
    for path in Path(growth.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^from peers\.machine import facts", text, re.MULTILINE), path.name
        assert re.search(r"\bfacts\(", text), path.name


@pytest.mark.parametrize(
    "command",
    [["journal.py", "--calls", "300", "--rows", "80", "--rounds", "1"], ["ten_million.py", "--rows", "300"]],
)
def test_a_benchmark_that_puts_a_clock_around_our_functions_runs(command: list[str]) -> None:
    name, *options = command
    path = Path(growth.__file__).with_name(name)
    done = subprocess.run([sys.executable, path, *options], capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]


def test_rows_that_differ_are_counted_also_where_as_many_are_marked(tmp_path: Path) -> None:
    pl.DataFrame({"problem_id": "p", "trace_id": map(str, range(101)), "said": "1"}).write_parquet(
        tmp_path / "rows.parquet"
    )
    marked = next(iter(growth.STEPS["quota"](pl.read_parquet(tmp_path / "rows.parquet").with_row_index("row").to_dicts(), tmp_path)))  # fmt: skip  # noqa: E501
    for row, apart in ((marked, 0), ((marked + 1) % 101, 2)):
        pl.DataFrame({"row": [row]}).write_parquet(tmp_path / "quota.parquet")
        assert growth.compare("quota", tmp_path) == apart


def test_wrong_answers_of_one_run_are_wrong() -> None:
    assert overhead.wrong({"curate": overhead.Cost(1, 1.0, 1.0, 1.0, {(1, "other")})}) == ["curate"]


def test_the_tail_of_the_last_step_is_not_what_one_step_at_a_time_costs() -> None:
    """Two steps of 10 s that are half full for 8 s each, 1 s of nothing between them, of three sequences."""
    gauge, inside = Gauge(), (3, 1, 0, 3, 1, 0)
    for at, (before, now) in zip((0, 8, 10, 11, 19, 21), itertools.pairwise((0, *inside)), strict=True):
        gauge.change(now - before, at=at)
    shares = lost(gauge.shares(half=2))
    assert shares == pytest.approx({"less": 5 / 21, "last": 2 / 21, "borders": 3 / 21})

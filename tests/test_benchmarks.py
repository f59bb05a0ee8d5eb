"""What the benchmarks find wrong is counted, so that their exit code says it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import growth
import overhead


def test_every_benchmark_says_where_it_ran() -> None:
    for path in Path(growth.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^from peers\.machine import facts", text, re.MULTILINE), path.name
        assert re.search(r"\bfacts\(", text), path.name


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

"""A plan's cost, for other numbers of problems and other fleets; and what a kept row cost, on the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.plan import Plan
from curate.verifiers.exact import Exact

PROBLEMS = pl.DataFrame({"question": [f"say {i}" for i in range(20)], "answer": [str(i) for i in range(20)]})


def pipeline() -> curate.Pipeline:
    teacher = Scripted(model="t", script=lambda messages: messages[-1]["content"].split()[-1])
    return curate.Pipeline(PROBLEMS, [curate.Sample(teacher, n=3), Exact(), Failed("exact")])


def test_a_sizing_table_is_the_ledgers_rate_times_rows_over_replicas(tmp_path: Path) -> None:
    plan = pipeline().plan(tmp_path / "run", probe=4)
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    tokens = (ledger["prompt_tokens"] + ledger["output_tokens"]).sum() / 4  # a problem
    table = plan.sizes([10, 1_000_000], tokens_per_second=50.0, replicas=(1, 8))
    assert table["tokens"].to_list() == [round(tokens * 10), round(tokens * 1_000_000)]
    hours = table["tokens"] / 50.0 / 3600
    assert table["hours on 1"].to_list() == pytest.approx(hours.to_list())
    assert table["hours on 8"].to_list() == pytest.approx((hours / 8).to_list())


def test_a_plan_that_knows_nothing_has_no_sizes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="probe"):
        pipeline().plan(tmp_path / "run").sizes([10], tokens_per_second=50.0)


@pytest.mark.parametrize(
    ("problems", "speed", "replicas", "said"),
    [
        ([10], -5, (1,), "tokens_per_second=-5 gives no size; say a number above 0"),
        ([10], 5, 4, "replicas=4 gives no size; say whole numbers in a list"),
        ([10], 5, (0, 1), "replicas=.0, 1. gives no size"),
        (10, 5, (1,), "problems=10 gives no size; say whole numbers in a list"),
    ],
)
def test_a_size_that_is_none_is_one_sentence(problems: Any, speed: Any, replicas: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Plan(20, ()).sizes(problems, speed, replicas)


def test_the_card_says_what_a_kept_row_cost(tmp_path: Path) -> None:
    run = pipeline().run(tmp_path / "run", price=(1.0, 10.0))
    [(kept, usd)] = run.sql("select count(*), (select sum(usd) from ledger) / count(*) from live").rows()
    assert kept == 60 and usd > 0
    run.publish(tmp_path / "set")
    card = (tmp_path / "set" / "README.md").read_text()
    assert "a kept row cost 2 tokens in, 1 tokens out and " in card and f"{usd:.6f} USD" in card

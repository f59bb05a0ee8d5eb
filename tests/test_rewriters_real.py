"""Rewriters on real traces: whatever they hold, a child is right, accounted for, and cut where it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.difficulty import LEVELS, PLANS
from curate.engines.scripted import Scripted
from curate.filters.failed import Failed
from curate.methods.budget_forcing import budget_forcing
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning, report
from curate.methods.skip_thinking import chunk_rows, skip_thinking
from curate.rewriters.budget_forcing import CONNECTIVES
from curate.verifiers.math_equal import MathEqual

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def right(data: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Right traces that think, of the first sixty problems."""
    source = curate.read(str(data / "traces" / "skythought_math.jsonl.gz")).head(60)
    steps = [MathEqual(), Failed("math_equal", abstained="drop")]
    run = curate.Pipeline(source, steps).run(tmp_path_factory.mktemp("right") / "run")
    rows = run.traces.select("question", "answer", "thinking", "response").collect()
    rows = rows.filter(pl.col("thinking").str.len_chars() > 400).unique("question", maintain_order=True)
    assert len(rows) > 20
    return rows


def knower(rows: pl.DataFrame) -> Callable[[list[dict[str, str]]], str]:
    """Knows the gold answer of whichever question it is asked, but those of every fifth."""
    golds = {q: a for i, (q, a) in enumerate(rows.select("question", "answer").rows()) if i % 5}

    def answer(messages: list[dict[str, str]]) -> str:
        said = messages[0]["content"]
        return next((f"\\boxed{{{golds[q]}}}" for q in golds if q in said), "I do not know.")

    return answer


def test_every_real_trace_is_rewritten_right_and_shorter_or_stays(
    right: pl.DataFrame, tmp_path: Path
) -> None:
    knows = knower(right)

    def say(messages: list[dict[str, str]]) -> str:
        level = LEVELS[len(messages[0]["content"]) % 3]
        if len(messages) == 1:
            return f"DIFFICULTY: {level.upper()}"
        thinking = "\n".join(f"**{heading}** what belongs here, said once" for heading in PLANS[level])
        return f"=== REASONING ===\n{thinking}\n=== SOLUTION ===\n{knows(messages)} is what it comes to, \
and each of the steps above has a part in it, so that nothing is left to do.\n=== END ==="

    run = difficulty_aware_pruning(rewriter=Scripted(script=say), traces=curate.read(right), retries=0).run(
        tmp_path / "run"
    )
    live = run.traces.collect()
    assert len(live) == len(right), "every right trace, as itself or as its child"
    born = live.filter(pl.col("parent_id").is_not_null())
    assert len(born) >= 0.7 * len(right)
    whys = live.filter(pl.col("parent_id").is_null())["difficulty_aware"].struct.field("why")
    assert {why.partition(":")[0] for why in whys} <= {"wrong", "not_shorter"}
    [line] = report(run).filter(level="all").to_dicts()
    assert line["kept"] == len(born) and 0 < line["ratio"] < 0.5


@pytest.mark.parametrize(("mode", "share"), [("medium", 0.5), ("low", 0.25)])
def test_real_thinking_is_cut_at_its_share(
    right: pl.DataFrame, tmp_path: Path, mode: Any, share: float
) -> None:
    teacher = Scripted(script=knower(right))
    run = budget_forcing(curate.read(right), teacher, mode=mode).run(tmp_path / "run")
    live, texts = run.traces.collect(), dict(right.select("question", "thinking").rows())
    assert 0.7 * len(right) <= len(live) < len(right)
    shares = []
    for row in live.to_dicts():
        kept = row["thinking"].removesuffix("\n\n" + CONNECTIVES[mode])
        assert texts[row["question"]].startswith(kept) and kept != row["thinking"]
        shares.append(len(kept.split()) / len(texts[row["question"]].split()))
    assert sum(shares) / len(shares) == pytest.approx(share, abs=0.02)


def test_real_thinking_is_chunks_that_join_to_it(right: pl.DataFrame, tmp_path: Path) -> None:
    run = skip_thinking(curate.read(right), Scripted(script=knower(right)), chunks=6).run(tmp_path / "run")
    rows = chunk_rows(run)
    whole = rows.filter(pl.col("skipping").not_() & (pl.col("field") == "thinking"))
    joined = dict(whole.group_by("question", maintain_order=True).agg(pl.col("target").str.join()).rows())
    assert joined == {q: t for q, t in right.select("question", "thinking").rows() if q in joined}
    live = run.traces.collect()
    born = live.filter(pl.col("parent_id").is_not_null())
    assert len(joined) == len(live) == len(right) and len(born) >= 0.7 * len(right)
    for row in born.to_dicts():
        assert row["thinking"] and row["thinking"] in joined[row["question"]], (
            "who knows needs one chunk alone"
        )

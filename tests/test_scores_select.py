"""Filters over scores, their control, and entropies: laws on tables, and on the demo's checkpoint."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.filters.length_matched import LengthMatched
from curate.filters.score_band import ScoreBand
from curate.filters.top_k import TopK
from curate.scores.entropy import Entropy
from curate.scores.token_logprobs import TokenLogprobs

WORLD = Path(curate.__file__).parent / "demo_world"
NUMBER = st.none() | st.sampled_from([math.nan, -1.0, 0.0, 0.5, 2.0])


def frame(rows: list[dict[str, Any]], **kinds: Any) -> pl.LazyFrame:
    schema = {"problem_id": pl.String, "trace_id": pl.String, **kinds}
    return pl.DataFrame(rows, schema=schema).lazy().with_row_index("row")


def goes(step: Any, rows: pl.LazyFrame) -> set[str]:
    """The ids of the traces that a filter over the whole table sets aside."""
    marks = step.mark(rows.select("row", *step.columns))
    return set(rows.join(marks, on="row").collect()["trace_id"])


@given(
    rows=st.lists(st.tuples(st.sampled_from("pq"), NUMBER, st.integers(0, 2))),
    k=st.integers(1, 3),
    per=st.sampled_from(["problem_id", None]),
    shuffle=st.randoms(use_true_random=False),
)
def test_top_k_is_sorting_and_taking(
    rows: list[Any], k: int, per: str | None, shuffle: random.Random
) -> None:
    table = [dict(problem_id=p, trace_id=f"t{i:02d}", by=v, then=n) for i, (p, v, n) in enumerate(rows)]

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        unknown = row["by"] is None or math.isnan(row["by"])
        return unknown, 0.0 if unknown else -row["by"], row["then"], row["trace_id"]

    groups = {p: [r for r in table if r["problem_id"] == p] for p in "pq"} if per else {"": table}
    want = {r["trace_id"] for group in groups.values() for r in sorted(group, key=place)[k:]}
    step = TopK(("by", "then"), k=k, per=per, reverse=(False, True))
    shuffle.shuffle(table)
    assert goes(step, frame(table, by=pl.Float64, then=pl.Int64)) == want


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 9), st.booleans())), st.integers(1, 12), st.integers(0, 3)
)
def test_a_control_is_as_large_as_the_selection_at_every_length(
    rows: list[tuple[int | None, bool]], bins: int, seed: int
) -> None:
    table = [
        dict(trace_id=f"t{i}", output_tokens=n, chosen=c, problem_id="p") for i, (n, c) in enumerate(rows)
    ]
    step = LengthMatched("chosen", bins=bins, seed=seed)
    kinds = {"output_tokens": pl.Int64, "chosen": pl.Boolean}
    there, back = (goes(step, frame(r, **kinds)) for r in (table, table[::-1]))
    assert there == back
    kept = [r for r in table if r["trace_id"] not in there]
    chosen = [r for r in table if r["chosen"]]
    assert len(kept) == len(chosen)
    assert sum(r["output_tokens"] is None for r in kept) == sum(r["output_tokens"] is None for r in chosen)


def test_a_control_has_the_lengths_of_the_selection_and_other_traces() -> None:
    draw = random.Random(3)
    table: list[dict[str, Any]] = [
        dict(problem_id=f"p{i // 4}", trace_id=f"t{i}", output_tokens=int(draw.lognormvariate(6, 0.8)))
        for i in range(4_000)
    ]
    kinds = {"output_tokens": pl.Int64}
    long = goes(TopK(("output_tokens",)), frame(table, **kinds))
    table = [{**r, "chosen": r["trace_id"] not in long} for r in table]
    rows = frame(table, **kinds, chosen=pl.Boolean)

    def mean(ids: set[str]) -> float:
        of = [r["output_tokens"] for r in table if r["trace_id"] in ids]
        return sum(of) / len(of)

    everything = {r["trace_id"] for r in table}
    chosen, drawn = everything - long, everything - goes(LengthMatched("chosen"), rows)
    again = everything - goes(LengthMatched("chosen", seed=1), rows)
    assert mean(everything) < 0.7 * mean(chosen)
    assert mean(drawn) == pytest.approx(mean(chosen), rel=0.05)
    assert len(drawn & chosen) < 0.9 * len(chosen) and len(drawn & again) < 0.9 * len(chosen)


def test_a_band_says_which_end_was_left_and_takes_a_score_that_is_no_number() -> None:
    rows = pl.DataFrame({"x": [-1.0, 0.0, 1.0, 2.0, None, math.nan]})
    both = rows.select(ScoreBand("x", low=0.0, high=1.0).expr())["literal"].to_list()
    assert both == ["x -1.0 < 0.0", None, None, "x 2.0 > 1.0", None, both[-1]] and both[-1]
    above = rows.select(why=ScoreBand("x", low=0.0).expr())["why"]
    assert above.is_not_null().to_list() == [True, False, False, False, False, True]


def test_settings_that_select_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="a band without ends"):
        ScoreBand("x")
    with pytest.raises(UserError, match="no x lies between low=2 and high=1"):
        ScoreBand("x", low=2, high=1)
    with pytest.raises(UserError, match=r"write by=\('x',\)"):
        TopK("x")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has 1 entries for 2 columns"):
        TopK(("x", "y"), reverse=(True,))
    with pytest.raises(UserError, match="k=0"):
        TopK(("x",), k=0)
    with pytest.raises(UserError, match="bins=0"):
        LengthMatched("x", bins=0)


def test_entropy_stands_beside_the_log_probabilities(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"question": ["2 + 3?", "?"], "thinking": ["2 + 3 = 5. 🙂", "x"], "response": ["5", ""]}
    )
    teacher: Any = HF(str(WORLD / "teacher"), dtype="float32")
    steps = [TokenLogprobs(teacher, entropy=True), Entropy()]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    for row in run.traces.collect().to_dicts():
        tokens, entropies = row["model_tokens"], row["model_entropy_tokens"]
        assert [{**t, "value": 0} for t in tokens] == [{**e, "value": 0} for e in entropies] and tokens
        values = [e["value"] for e in entropies]
        assert all(0 <= v <= math.log(100_000) for v in values) and len(set(values)) > len(values) / 2
        assert row["model_entropy"] == pytest.approx(sum(values) / len(values))
        assert values != [-t["value"] for t in tokens]


def test_an_engine_that_tells_no_entropy_is_refused_at_once() -> None:
    engine: Any = Scripted(script=["x"])
    with pytest.raises(UserError, match="'scripted' tells no entropy"):
        TokenLogprobs(engine, entropy=True)
    with pytest.raises(UserError, match="'scripted' tells no ranks"):
        TokenLogprobs(engine, rank=True)

"""Repetition: the expression counts what a plain loop counts, at the thresholds and in any script."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.repetition import Repetition
from curate.verifiers.math_equal import MathEqual

TEXT = st.lists(st.sampled_from(["a", "b", " ", "\n", "漢", "!", "a b ", "12"]), max_size=40).map("".join)


def slow(text: str, n: int) -> tuple[int, int]:
    """The counts of the most frequent run of n words, and of the most frequent line with a word in it."""
    words = re.findall(r"漢|[a-z0-9]+|!", text)
    runs = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    lines = Counter(line.strip() for line in text.split("\n") if re.search(r"[a-z0-9漢]", line))
    return max(runs.values(), default=0), max(lines.values(), default=0)


@given(thinking=st.none() | TEXT, response=TEXT, n=st.integers(1, 6))
def test_it_counts_as_a_plain_loop_does(thinking: str | None, response: str, n: int) -> None:
    schema = {"thinking": pl.String, "response": pl.String}
    row = pl.DataFrame({"thinking": [thinking], "response": [response]}, schema=schema)
    runs, lines = slow(f"{thinking or ''}\n{response}", n)
    for times in {2, max(runs, 2), runs + 2}:
        [why] = row.select(why=Repetition(n=n, times=times, lines=10_000).expr())["why"]
        assert why == (f"{n} words in a row occur {runs} times" if runs >= times else None)
    for least in {2, max(lines, 2), lines + 2}:
        [why] = row.select(why=Repetition(n=n, times=10_000, lines=least).expr())["why"]
        assert why == (f"a line occurs {lines} times" if lines >= least else None)


def test_settings_that_forbid_everything_are_refused() -> None:
    for options, told in (({"n": 0}, "n=0"), ({"times": 1}, "times=1"), ({"lines": 1}, "lines=1")):
        with pytest.raises(UserError, match=told):
            Repetition(**options)


def test_few_right_traces_of_real_models_repeat_themselves(data: Path, tmp_path: Path) -> None:
    names = ("farel", "thought_anchors_math", "short_graded")
    files = [str(data / "traces" / f"{name}.jsonl.gz") for name in names]
    steps = [MathEqual(), Failed("math_equal", abstained="drop"), Repetition()]
    run = curate.Pipeline(curate.read(files).head(600), steps).run(tmp_path / "run")
    live = run.traces.select(pl.len()).collect().item()
    gone = run.dropped.filter(pl.col("dropped_by") == "repetition").collect()
    assert live > 100 and len(gone) < 0.05 * live

"""Laws of the filters, beyond the examples that each file carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.length_band import LengthBand
from curate.filters.shortest_k import ShortestK
from curate.filters.truncated import Truncated
from curate.schema import ROW, VERDICT, Row
from curate.step import Filter

Rows = list[dict[str, Any]]


def frame(rows: Rows, **more: Any) -> pl.LazyFrame:
    """Rows in the types of a run."""
    schema = {**ROW, **more}
    return pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema).lazy()


def whys(step: Filter, rows: Rows, **more: Any) -> list[str | None]:
    """Why each row goes; None where it stays."""
    table = frame(rows, **more)
    if step.body == "expr":
        return table.select(why=step.expr()).collect()["why"].to_list()  # type: ignore[attr-defined]
    seen = table.with_row_index("row").select("row", *step.columns)
    marks = dict(step.mark(seen).collect().iter_rows())  # type: ignore[attr-defined]
    return [marks.get(i) for i in range(len(rows))]


def kept(step: Filter, rows: Rows) -> Rows:
    return [row for row, why in zip(rows, whys(step, rows), strict=True) if why is None]


texts = st.text(alphabet="ab \n\t", max_size=6)
traces = st.lists(
    st.builds(
        dict, problem_id=st.sampled_from("pqr"), thinking=st.none() | texts, response=st.none() | texts
    ),
    max_size=12,
).map(lambda rows: [row | {"trace_id": f"t{i % 7}{i}"} for i, row in enumerate(rows)])


# failed, length_band, truncated: what the reason says


def test_a_failed_row_goes_with_the_verifiers_own_words() -> None:
    verdicts = [(False, "different: 3 against 4"), (True, "equal"), (None, "timeout: 5 s"), (False, None)]
    rows = [{"v": {"passed": p, "score": None, "extracted": None, "why": w}} for p, w in verdicts] + [
        {"v": None}
    ]
    assert whys(Failed("v"), rows, v=VERDICT) == [
        "v: different: 3 against 4",
        None,
        None,
        "v: no reason given",
        None,
    ]
    assert whys(Failed("v", abstained="drop"), rows, v=VERDICT) == [
        "v: different: 3 against 4",
        None,
        "v abstains: timeout: 5 s",
        "v: no reason given",
        "v abstains: it was never asked",
    ]


def test_without_a_gold_answer_alone_an_abstention_may_stay() -> None:
    rows = [{"v": {"passed": None, "score": None, "extracted": None, "why": w}}
            for w in ("no_gold", "unsupported: the gold answer is words", None)]  # fmt: skip
    assert whys(Failed("v", abstained="without_gold"), [*rows, {"v": None}], v=VERDICT) == [
        None,
        "v abstains: unsupported: the gold answer is words",
        "v abstains: it was never asked",
        "v abstains: it was never asked",
    ]


def test_failed_knows_three_ways_to_treat_an_abstention() -> None:
    with pytest.raises(UserError, match="'skip'"):
        Failed("v", abstained="skip")  # type: ignore[arg-type]


@given(st.none() | st.integers(0, 200), st.integers(0, 100), st.integers(0, 100))
def test_what_is_inside_the_band_stays_and_the_reason_names_the_number(
    n: int | None, low: int, more: int
) -> None:
    (why,) = whys(LengthBand(low, low + more), [{"output_tokens": n}])
    assert (why is None) == (n is None or low <= n <= low + more)
    assert why is None or why in (f"{n} tokens > {low + more}", f"{n} tokens < {low}")


def test_an_empty_band_is_a_mistake() -> None:
    with pytest.raises(UserError, match="min_tokens=9 and max_tokens=8"):
        LengthBand(9, 8)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"finish": "length", "response": "x"}, "cut by the token limit (finish is length)"),
        ({"finish": "error", "response": "x"}, "the call broke off (finish is error)"),
        (
            {"finish": "stop", "thinking": "x", "response": " \n"},
            "the thinking never ends: no response follows it",
        ),
        ({"thinking": "\n", "response": None}, "empty: neither thinking nor a response"),
        ({"finish": "stop", "response": ""}, None),
        ({"response": "x", "thinking": "x"}, None),
    ],
)
def test_a_trace_that_did_not_end_goes(row: dict[str, Any], why: str | None) -> None:
    assert whys(Truncated(), [row]) == [why]


# exact_duplicates


def told(row: dict[str, Any]) -> tuple[str, ...]:
    """What a trace says, white space aside; written without polars."""
    return (row["problem_id"], *(" ".join((row[c] or "").split()) for c in ("thinking", "response")))


@given(traces)
def test_the_first_of_equal_traces_stays_and_is_named(rows: Rows) -> None:
    first: dict[tuple[str, ...], str] = {}
    for row, why in zip(rows, whys(ExactDuplicates(), rows), strict=True):
        original = first.setdefault(told(row), row["trace_id"])
        assert why == (None if original == row["trace_id"] else f"same text as trace {original}")


def test_thinking_and_response_are_compared_apart() -> None:
    rows = [
        {"problem_id": "p", "trace_id": "1", "thinking": "a b", "response": "c"},
        {"problem_id": "p", "trace_id": "2", "thinking": "a", "response": "b c"},
    ]
    assert kept(ExactDuplicates(), rows) == rows


@pytest.mark.parametrize("step", [ExactDuplicates(), ShortestK(1)])
def test_a_problem_that_nobody_answered_stays(step: Filter) -> None:
    rows = [{"problem_id": "p", "trace_id": None}] * 3
    assert whys(step, rows) == [None] * 3


# shortest_k


def length(row: dict[str, Any]) -> int:
    return len(row["thinking"] or "") + len(row["response"] or "")


@given(traces, st.integers(1, 4))
def test_the_k_shortest_of_each_problem_stay(rows: Rows, k: int) -> None:
    stay = kept(ShortestK(k), rows)
    for problem in "pqr":
        mine = sorted(
            (r for r in rows if r["problem_id"] == problem), key=lambda r: (length(r), r["trace_id"])
        )
        assert [r for r in mine if r in stay] == mine[:k]


@given(traces, st.integers(1, 4))
def test_shortest_k_twice_is_shortest_k_once(rows: Rows, k: int) -> None:
    once = kept(ShortestK(k), rows)
    assert kept(ShortestK(k), once) == once


@given(traces, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_choose_the_shortest(rows: Rows, random: Any) -> None:
    other = random.sample(rows, len(rows))
    ids = [{r["trace_id"] for r in kept(ShortestK(2), table)} for table in (rows, other)]
    assert ids[0] == ids[1]


def test_shortest_k_counts_characters_not_bytes_and_says_the_place() -> None:
    rows = [
        {"problem_id": "p", "trace_id": "a", "thinking": "ééé", "response": ""},
        {"problem_id": "p", "trace_id": "b", "thinking": "abcd", "response": ""},
    ]
    assert whys(ShortestK(1), rows) == [None, "number 2 of 2 by length (4 characters)"]


def test_shortest_zero_is_a_mistake() -> None:
    with pytest.raises(UserError, match="k=0"):
        ShortestK(0)


@dataclass(frozen=True)
class Mask(Filter):
    """What a newcomer writes first: true for the rows that stay."""

    reads = ("response",)

    def expr(self) -> pl.Expr:
        return pl.col("response").str.len_chars() > 3


@dataclass(frozen=True)
class ByRow(Filter):
    reads = ("response",)

    def row(self, row: Row) -> str | None:
        return None


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Mask(), "the filter mask answers Boolean; it answers a reason for a row that goes"),
        (ByRow(), "by_row is a filter with a `row`, and a filter has an `expr` or a `mark`"),
    ],
)
def test_a_filter_that_answers_no_reason_is_refused_before_anything_is_asked(
    step: Filter, said: str, tmp_path: Path
) -> None:
    rows = pl.DataFrame({"question": ["?"], "response": ["four"]})
    with pytest.raises(UserError, match=said):
        curate.Pipeline(rows, [step]).run(tmp_path / "run")

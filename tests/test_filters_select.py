"""Laws of the filters that select: farthest traces, quotas, bands of pass rates."""

from __future__ import annotations

import itertools
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.distance import distances
from curate.errors import UserError
from curate.filters.farthest import Farthest, farthest
from curate.filters.nearest import Nearest, nearest
from curate.filters.pass_rate_band import PassRateBand
from curate.filters.quota import Quota
from curate.together import by_problem

TEXT = st.text(alphabet="abc🙂漢", max_size=8)


def goes(step: Any, rows: list[dict[str, Any]], **kinds: Any) -> set[str]:
    """The ids of the traces that a filter over the whole table sets aside."""
    schema = {"problem_id": pl.String, "trace_id": pl.String, **kinds}
    frame = pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema)
    lazy = frame.lazy().with_row_index("row")
    marks = step.mark(lazy.select("row", *step.columns))
    return set(lazy.join(marks, on="row").collect()["trace_id"])


@settings(deadline=None)
@given(st.lists(TEXT, min_size=2, max_size=6, unique=True), st.integers(2, 4))
def test_the_kept_are_at_least_half_as_far_apart_as_any_choice(texts: list[str], k: int) -> None:
    apart = distances(texts)
    kept, near = farthest(texts, k, least=0.0)
    assert len(kept) == min(k, len(texts)) and {*kept, *near} == set(range(len(texts)))

    def spread(some: Any) -> float:
        return min(apart[i, j] for i, j in itertools.combinations(some, 2))

    best = max(spread(some) for some in itertools.combinations(range(len(texts)), len(kept)))
    assert spread(kept) >= best / 2 - 1e-6
    assert apart[kept[0], kept[1]] == apart.max()
    for i, (distance, other) in near.items():
        assert distance == pytest.approx(min(apart[i, j] for j in kept)) and other in kept
    assert (apart == apart.T).all() and all(apart[i, i] == 0 for i in range(len(texts)))


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6, unique=True), st.integers(1, 4))
def test_the_nearest_begin_with_the_nearest_pair_and_are_no_farther_apart(texts: list[str], k: int) -> None:
    """A control: as many traces as the farthest, and closer together."""
    apart = distances(texts)
    kept = nearest(texts, k)
    far, _ = farthest(texts, k, least=0.0)
    assert len(kept) == len({*kept}) == len(far) == min(k, len(texts))
    if len(kept) == 2:
        pairs = itertools.combinations(range(len(texts)), 2)
        assert apart[kept[0], kept[1]] == min(apart[i, j] for i, j in pairs)
    for at in range(2, len(kept) if len(texts) > k else 0):
        left = {*range(len(texts))} - {*kept[:at]}
        assert apart[kept[:at], kept[at]].max() == min(apart[kept[:at], i].max() for i in left)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("pq"), TEXT), max_size=8),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_farthest_does_not_depend_on_the_order_of_rows(
    rows: list[Any], k: int, shuffle: random.Random
) -> None:
    table = [dict(problem_id=p, trace_id=f"t{i}", response=t) for i, (p, t) in enumerate(rows)]
    kinds = {"thinking": pl.String, "response": pl.String}
    there = goes(Farthest(k), table, **kinds)
    shuffle.shuffle(table)
    assert goes(Farthest(k), table, **kinds) == there
    for p in "pq":
        texts = {r["response"] for r in table if r["problem_id"] == p}
        kept = [r for r in table if r["problem_id"] == p and r["trace_id"] not in there]
        assert bool(kept) == bool(texts) and len({r["response"] for r in kept}) == len(kept) <= k


def test_near_duplicates_are_not_both_kept_and_planted_ways_are_each_found() -> None:
    ways = ["first add the two numbers and then double them", "17 35 70", "look: (a+b)*2, so seventy"]
    table = [
        dict(problem_id="p", trace_id=f"t{i}{j}", thinking=way + "." * j)
        for i, way in enumerate(ways)
        for j in range(3)
    ]
    kinds = {"thinking": pl.String, "response": pl.String}
    gone = goes(Farthest(3), table, **kinds)
    assert {t["trace_id"][1] for t in table if t["trace_id"] not in gone} == {"0", "1", "2"}
    alike = goes(Nearest(3), table, **kinds)
    assert len({t["trace_id"][1] for t in table if t["trace_id"] not in alike}) == 1, "one way, three times"
    far = goes(Farthest(9, least=0.3), table, **kinds)
    assert len(table) - len(far) == 3, "no ninth way is far enough"


def test_problems_come_whole_and_few_at_a_time() -> None:
    frame = pl.LazyFrame(
        {
            "row": range(9),
            "problem_id": list("abcabcabc"),
            "trace_id": [*"987654321"[:8], None],
        }
    )
    for most in (1, 2, 99):
        parts = list(by_problem(frame, most))
        assert [p["problem_id"].unique().to_list() for p in parts] == [["a"], ["b"], ["c"]]
        assert [p["trace_id"].to_list() for p in parts] == [["3", "6", "9"], ["2", "5", "8"], ["4", "7"]]


def in_one_go(frame: pl.LazyFrame) -> list[pl.DataFrame]:
    """What by_problem answers, of a table that fits into memory."""
    traces = frame.filter(pl.col("trace_id").is_not_null() & pl.col("problem_id").is_not_null()).collect()
    held = traces.sort("problem_id", "trace_id", "row")
    return held.partition_by("problem_id", maintain_order=True) if len(held) else []


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=2)), st.sampled_from("tuv"), st.booleans())),
    st.integers(0, 80),
    st.integers(1, 4),
)
@settings(deadline=None, max_examples=20)
def test_however_few_are_held_they_are_the_same(rows: list[Any], more: int, most: int) -> None:
    rows += [(f"p{i * 37 % 80}", "tuv"[j], False) for i in range(more) for j in range(i % 3)]
    table = [
        (number, problem, None if unsolved else trace, f"{problem} {number}")
        for number, (problem, trace, unsolved) in enumerate(rows)
    ]
    kinds = {"row": pl.UInt32, "problem_id": pl.String, "trace_id": pl.String, "text": pl.String}
    frame = pl.LazyFrame(table, schema=kinds, orient="row")
    found, expected = list(by_problem(frame, most)), in_one_go(frame)
    assert len(found) == len(expected)
    assert all(a.equals(b) and a.schema == b.schema for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("problems", [20, 2_000])
def test_a_table_is_read_as_often_whatever_its_size(problems: int) -> None:
    reads = []

    def counted(frame: pl.DataFrame) -> pl.DataFrame:
        reads.append(len(frame))
        return frame

    table = pl.DataFrame({"row": range(problems), "problem_id": [f"p{i}" for i in range(problems)]})
    frame = table.with_columns(trace_id=pl.lit("t")).lazy().map_batches(counted)
    assert sum(1 for _ in by_problem(frame, most=10)) == problems
    assert reads == [problems] * 2


@given(
    st.lists(st.tuples(st.sampled_from(["math", "code", None]), st.sampled_from("tu"))),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_a_quota_keeps_as_many_as_it_says_of_every_cell(
    rows: list[Any], k: int, shuffle: random.Random
) -> None:
    table = [dict(problem_id=f"p{i}", trace_id=f"t{i}", domain=d, model=m) for i, (d, m) in enumerate(rows)]
    kinds = {"domain": pl.String, "model": pl.String}
    step = Quota(("domain", "model"), k=k)
    gone = goes(step, table, **kinds)
    for cell in itertools.product(["math", "code", None], "tu"):
        mine = {r["trace_id"] for r in table if (r["domain"], r["model"]) == cell}
        assert len(mine - gone) == min(k, len(mine))
    more = goes(Quota(("domain", "model"), k=k + 1), table, **kinds)
    assert more <= gone, "a larger quota keeps what the smaller one kept"
    shuffle.shuffle(table)
    assert goes(step, table, **kinds) == gone


def test_a_quota_of_some_values_leaves_the_others_alone() -> None:
    table = [
        dict(problem_id=f"p{i}", trace_id=f"t{i}", domain="math" if i < 6 else "code") for i in range(10)
    ]
    kinds = {"domain": pl.String}
    kept = {r["trace_id"] for r in table} - goes(Quota(("domain",), counts={"math": 2}), table, **kinds)
    assert len(kept) == 6 and {"t6", "t7", "t8", "t9"} <= kept
    assert len(goes(Quota(("domain",), k=1, counts={"math": 0}), table, **kinds)) == 9
    kept = {r["trace_id"] for r in table} - goes(Quota(("domain",), k=0, counts={"code": 9}), table, **kinds)
    assert kept == {"t6", "t7", "t8", "t9"}, "only what is listed"
    drawn = [frozenset(goes(Quota(("domain",), k=3, seed=seed), table, **kinds)) for seed in range(6)]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize(
    ("passed", "judged", "z", "reason"),
    [
        (5, 8, 0.0, "5 of 8 samples of the student pass: too easy"),
        (5, 8, 1.96, None),  # Wilson: 0.306 to 0.863
        (8, 8, 1.96, "8 of 8 samples of the student pass: too easy"),  # 0.676 to 1
        (0, 8, 0.0, "0 of 8 samples of the student pass: too hard"),
        (0, 8, 1.96, None),  # 0 to 0.324
        (0, 100, 1.96, "0 of 100 samples of the student pass: too hard"),  # 0 to 0.037
        (4, 8, 0.0, None),
    ],
)
def test_a_band_allows_for_what_few_samples_do_not_know(
    passed: int, judged: int, z: float, reason: str | None
) -> None:
    rows = pl.DataFrame({"student_pass_rate": [passed / judged], "student_pass_rate_judged": [judged]})
    step = PassRateBand(low=0.1, high=0.5, z=z)
    assert rows.select(why=step.expr())["why"].to_list() == [reason]


def test_settings_that_select_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="low=0.6 and high=0.5"):
        PassRateBand(low=0.6)
    with pytest.raises(UserError, match="z=-1"):
        PassRateBand(z=-1)
    with pytest.raises(UserError, match="k=0 would keep no trace"):
        Farthest(0)
    with pytest.raises(UserError, match="k=0 would keep no trace"):
        Nearest(0)
    with pytest.raises(UserError, match="least=2 is no distance"):
        Farthest(least=2)
    with pytest.raises(UserError, match=r"write per=\('domain',\)"):
        Quota("domain", k=1)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a quota needs a number"):
        Quota(("domain",))
    with pytest.raises(UserError, match="names values of one column"):
        Quota(("domain", "model"), counts={"math": 1})
    for counts in (None, {"math": 0}):
        with pytest.raises(UserError, match=r"k=0 keeps nothing; .* counts of the values that stay"):
            Quota(("domain",), k=0, counts=counts)
    with pytest.raises(UserError, match="a quota of -1 rows cannot be; give 0 or more"):
        Quota(("domain",), k=5, counts={"math": -1})

"""pass@k equals what drawing every subset gives, and an interval covers what it promises to."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.metrics import Interval, bootstrap, mean, of_shares, pass_at_k


def brute_force(n: int, c: int, k: int) -> float:
    """Every subset of k samples, the first c of which are right."""
    subsets = list(combinations(range(n), k))
    return sum(any(i < c for i in s) for s in subsets) / len(subsets)


@st.composite
def counts(draw: st.DrawFn, most: int) -> tuple[int, int, int]:
    n = draw(st.integers(1, most))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@settings(deadline=None)
@given(counts(most=9))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(nck: tuple[int, int, int]) -> None:
    assert pass_at_k(*nck) == pytest.approx(brute_force(*nck), abs=1e-12)


@settings(deadline=None)
@given(counts(most=2_000))
def test_pass_at_k_grows_with_c_and_with_k(nck: tuple[int, int, int]) -> None:
    n, c, k = nck
    value = pass_at_k(n, c, k)
    assert 0.0 <= value <= 1.0
    if c < n:
        assert pass_at_k(n, c + 1, k) >= value
    if k < n:
        assert pass_at_k(n, c, k + 1) >= value - 1e-12


@settings(deadline=None)
@given(counts(most=200))
def test_the_ends_of_pass_at_k(nck: tuple[int, int, int]) -> None:
    n, c, k = nck
    assert pass_at_k(n, c, n) == float(c > 0)
    assert pass_at_k(n, c, 1) == pytest.approx(c / n)
    assert pass_at_k(n, 0, k) == 0.0 and pass_at_k(n, n, k) == 1.0


@pytest.mark.parametrize(
    ("n", "c", "k", "value"),
    [
        (10, 3, 1, 0.3),
        (10, 3, 5, 1 - 21 / 252),  # C(7,5) / C(10,5)
        (200, 1, 100, 0.5),
        (5, 2, 3, 0.9),
        (8, 6, 4, 1.0),  # fewer wrong ones than draws
    ],
)
def test_golden_values_of_pass_at_k(n: int, c: int, k: int, value: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(value, abs=1e-12)


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(InputError, match="pass@8 cannot be estimated from 4 samples"):
        pass_at_k(4, 2, 8)
    with pytest.raises(ValueError, match="5 right ones among 4"):
        pass_at_k(4, 5, 1)


def test_there_is_no_mean_of_nothing() -> None:
    with pytest.raises(InputError, match="nothing to average"):
        mean([])


def test_golden_interval() -> None:
    values = [0.0, 1.0] * 50
    found = bootstrap(values)
    # the mean of 100 fair draws: 0.5 +- 1.96 * 0.05, on a grid of hundredths
    assert found == Interval(pytest.approx(0.4, abs=0.011), pytest.approx(0.6, abs=0.011))
    assert bootstrap(values) == found and bootstrap(values, seed=1) != bootstrap([0.3, 1.0, 0.1] * 9, seed=1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 99))
def test_an_interval_stays_within_the_values(values: list[float], seed: int) -> None:
    low, high = bootstrap(values, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert bootstrap([values[0]], seed=seed) == (values[0], values[0])


@pytest.mark.slow
def test_nineteen_intervals_of_twenty_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    held = sum(
        low <= 0.3 <= high
        for low, high in (bootstrap(list(rng.random(60) < 0.3), seed=i) for i in range(200))
    )
    assert 180 <= held <= 198  # 190 expected; a few less, for 60 problems are few


def test_no_values_no_interval() -> None:
    with pytest.raises(InputError, match="nothing to average"):
        bootstrap([])


@pytest.mark.parametrize(
    ("shares", "low", "high"),
    [
        ([0.0] * 3, 0.0, 0.561497),  # z² / (n + z²)
        ([1.0] * 3, 0.438503, 1.0),
        ([0.0], 0.0, 0.793451),
        ([1.0] * 10, 0.722467, 1.0),
        ([0.5] * 4, 0.150039, 0.849961),
    ],
)
def test_golden_values_of_shares_that_are_all_alike(shares: list[float], low: float, high: float) -> None:
    assert of_shares(shares) == pytest.approx((low, high), abs=1e-6)


def test_shares_that_differ_are_resampled() -> None:
    assert of_shares([0.0, 0.5, 1.0], seed=3) == bootstrap([0.0, 0.5, 1.0], seed=3)

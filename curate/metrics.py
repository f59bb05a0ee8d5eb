"""How good a model is on problems with n samples each: avg@k, pass@k, and how sure we are.

One problem is one unit: its samples are not independent, so intervals resample problems, never samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from curate.errors import InputError

Z = 1.959963984540054  # standard errors to each side of a 95 % interval of a normal distribution
RESAMPLES = 2_000  # the percentiles of a 95 % interval then rest on 50 values beyond each end


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def pass_at_k(n: int, c: int, k: int) -> float:
    """The probability that k of n samples, drawn without replacement, hold at least one of the c right ones.

    Unbiased for the chance that k fresh samples do (Chen et al. 2021, arXiv:2107.03374, equation 1): 1 minus
    C(n - c, k) / C(n, k), as a product, so that no large binomial is ever formed. InputError where k > n.
    """
    if not 1 <= k <= n:
        raise InputError(f"pass@{k} cannot be estimated from {n} samples; ask for 1 to {n}, or sample more")
    if not 0 <= c <= n:
        raise ValueError(f"{c} right ones among {n} samples")
    missed = 1.0
    for i in range(n - c + 1, n + 1):
        missed *= max(0.0, 1.0 - k / i)
    return 1.0 - missed


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean. InputError where there is nothing to average."""
    if not values:
        raise InputError("there is nothing to average: no problem was evaluated")
    return sum(values) / len(values)


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The 95 % percentile interval of the mean of `values`, one value a problem.

    The same values and seed give the same interval. It says how the mean would vary over other problems like
    these; with one problem it has no width, and of a biased choice of problems it knows nothing.
    """
    import numpy as np

    given = np.asarray(values, dtype=np.float64)
    if not given.size:
        raise InputError("there is nothing to average: no problem was evaluated")
    rng = np.random.default_rng(seed)
    means = [given[rng.integers(0, given.size, given.size)].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(low), float(high))


def of_shares(shares: Sequence[float], *, seed: int = 0) -> Interval:
    """The 95 % interval of the mean of shares between 0 and 1, one a problem: `bootstrap`, but never a point.

    Where all are alike, resampling finds no width, however few they are: then it is Wilson's (1927), with as
    many trials as there are problems.
    """
    if len(set(shares)) != 1:
        return bootstrap(shares, seed=seed)
    n, p = len(shares), shares[0]
    middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return Interval(max(0.0, (middle - half) / (1 + Z**2 / n)), min(1.0, (middle + half) / (1 + Z**2 / n)))

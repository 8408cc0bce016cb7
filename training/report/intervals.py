"""Numbers with 95 % intervals: shares (Wilson), and sums over queries of which some belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z = 1.959964  # of the normal distribution, 95 % two-sided


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and the bounds that hold it with 95 % probability."""

    mean: float
    lo: float
    hi: float

    def scaled(self, factor: float) -> Interval:
        """In another unit; `factor` > 0."""
        return Interval(self.mean * factor, self.lo * factor, self.hi * factor)

    def within(self, least: float, most: float) -> Interval:
        """With bounds that are not beyond what is possible."""
        return Interval(self.mean, min(max(self.lo, least), most), min(max(self.hi, least), most))


def around(mean: float, variance: float, groups: int) -> Interval:
    """mean ± t·√variance with Student's t of `groups` - 1 degrees of freedom; infinitely wide for one group."""
    if groups < 2:
        return Interval(mean, -math.inf, math.inf)
    from scipy.stats import t

    half = float(t.ppf(0.975, groups - 1)) * math.sqrt(max(0.0, variance))
    return Interval(mean, mean - half, mean + half)


def around_ratio(ratio: float, variance: float, groups: int) -> Interval:
    """The same for a quotient >= 0 of skewed sums, symmetric in its logarithm: ratio · exp(± t·√variance / ratio)."""
    if ratio <= 0:
        return around(ratio, variance, groups)
    half = around(0.0, variance, groups).hi / ratio
    most = ratio * math.exp(half) if half < 500 else math.inf  # exp(709) is the largest there is
    return Interval(ratio, ratio * math.exp(-half), most)


def wilson(mean: float, count: float) -> Interval:
    """The interval of a share seen in `count` >= 1 independent rows (Wilson 1927).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). For rewards between 0 and 1 it is too wide rather than too
    narrow: their variance is at most p(1-p).
    """
    share = Z * Z / count
    centre = (mean + share / 2) / (1 + share)
    half = Z / (1 + share) * math.sqrt(mean * (1 - mean) / count + share / count / 4)
    return Interval(mean, max(0.0, centre - half), min(1.0, centre + half))


def mean_variance(values: Floats, groups: NDArray[np.int64]) -> float:
    """The variance of the mean of `values` (n,) whose rows are independent between `groups` (n,), not within them.

    G/(G-1) Σ_g (Σ_{i in g} (z_i - z̄))² / n² (Liang & Zeger 1986), 0 for one group: there is nothing to learn it from.
    """
    sums = np.bincount(groups, values - values.mean())
    count = len(np.unique(groups))
    if count < 2:
        return 0.0
    return float(sums @ sums) / len(values) ** 2 * count / (count - 1)


def shared_variance(deviations: Floats, groups: NDArray[np.int64]) -> float:
    """The variance of a mean whose rows have standard `deviations` (n,), moving together within each group (n,)."""
    sums = np.bincount(groups, deviations)
    return float(sums @ sums) / len(deviations) ** 2

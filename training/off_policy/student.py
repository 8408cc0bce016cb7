"""From scores to an interval that covers: Student's t, its degrees of freedom from the scores' own tails.

Scores with heavy tails (a few weights of 1/epsilon) have a variance that is itself badly known: by Satterthwaite's
argument, s^2 has 2 / (Var(s^2) / s^4) = 2 n / (kurtosis - 1) degrees of freedom, not n - 1. Rows that shared a draw are
added up first (Liang & Zeger 1986): sessions are what is independent. When it fails: with fewer than fifteen useful
rows, whose kurtosis cannot be seen, either; and where a rare outcome has not been seen at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.off_policy.logged import Floats, Ints


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its standard error; `bound` and `both` give limits at a level."""

    value: float
    standard_error: float
    degrees: float  # of freedom
    units: int  # independent ones

    def both(self, level: float = 0.95) -> tuple[float, float]:
        """The two-sided interval that covers with probability `level`."""
        half = self._quantile((1 + level) / 2) * self.standard_error
        return self.value - half, self.value + half

    def lower(self, alpha: float) -> float:
        """A bound that the truth is below with probability `alpha` at most."""
        return self.value - self._quantile(1 - alpha) * self.standard_error

    def upper(self, alpha: float) -> float:
        """A bound that the truth is above with probability `alpha` at most."""
        return self.value + self._quantile(1 - alpha) * self.standard_error

    def _quantile(self, probability: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, probability))


def student(scores: Floats, cluster: Ints) -> Interval:
    """Of the mean of `scores` (n,); rows of one `cluster` number depend on one another. One unit: infinitely wide."""
    n = len(scores)
    value = float(scores.mean()) if n else math.nan
    off = scores - value
    if (cluster >= 0).any():
        off = added_up(off, cluster)
    units = len(off)
    if units < 2:
        return Interval(value, math.inf, 1.0, units)
    squares = off * off
    total = float(squares.sum())
    if total == 0:
        return Interval(value, 0.0, units - 1.0, units)
    error = math.sqrt(total * units / (units - 1)) / n
    kurtosis = units * float((squares * squares).sum()) / total**2
    degrees = min(units - 1.0, max(1.0, 2 * units / max(kurtosis - 1, 1e-9)))
    return Interval(value, error, degrees, units)


def added_up(values: Floats, cluster: Ints) -> Floats:
    """Sums over rows of one number, shape (clusters,)."""
    _, place = np.unique(cluster, return_inverse=True)
    return np.asarray(np.bincount(place, values))

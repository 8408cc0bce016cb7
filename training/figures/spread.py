"""A figure over folds and seeds: mean, standard deviation, 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964  # of a normal, two-sided


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure. `lo` and `hi` bound its mean with 95 % confidence."""

    mean: float
    sd: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, float]:
        """As the benchmark prints it."""
        return {"mean": self.mean, "sd": self.sd, "lo": self.lo, "hi": self.hi}


def spread(by_seed: Sequence[Sequence[float]]) -> Spread | None:
    """Values of the folds of every seed; NaN: the figure has no meaning in that fold. None if it has none at all.

    The interval is Student's t over folds, mean ± t·sd/√folds. Seeds split the same queries anew: they steady the
    mean but add no data, so they do not count as further folds. When it fails: folds share their training rows, so
    the interval of a *learned* subject is a little too narrow (Bengio & Grandvalet 2004).
    """
    kept = [[value for value in folds if not math.isnan(value)] for folds in by_seed]
    values = [value for folds in kept for value in folds]
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, 0.0, mean, mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    folds = max(len(row) for row in kept)
    if folds == 1:  # one value per seed: the seeds are the folds
        folds = len(values)
    half = student_95(folds - 1) * sd / math.sqrt(folds)
    return Spread(mean, sd, mean - half, mean + half)


def over_queries(means: list[float], total: NDArray[np.float64], times: NDArray[np.float64]) -> Spread:
    """Mean and sd of the splits' `means`; the interval from every query's own mean, `total / times`, both (n,)."""
    seen = times > 0
    each = total[seen] / times[seen]
    half = Z_95 * float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else 0.0
    mean = float(np.mean(means))
    return Spread(mean, float(np.std(means, ddof=1)) if len(means) > 1 else 0.0, mean - half, mean + half)


def student_95(degrees: int) -> float:
    """The two-sided 95 % quantile of Student's t with `degrees` >= 1 of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))

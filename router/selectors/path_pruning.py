"""Which sampled paths belong to the improbable ones: a mixture of two Weibull distributions over their probabilities.

Reasoning pruning of RPC (Zhou et al. 2025): the component with the higher mean holds the paths that lead somewhere; a
path goes where the other one is likelier to have produced it, unless its probability is at least the mean of all. The
mixture is fitted by expectation-maximisation from a split at the median, a fixed number of rounds, no randomness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST = 5  # paths; two distributions of two parameters each say nothing about fewer
ROUNDS, NEWTON_STEPS = 25, 8
SHAPES = (0.05, 50.0)  # what a shape may be: equal paths would make it infinite

Floats = NDArray[np.float64]


def kept_paths(log_probabilities: Sequence[float]) -> list[bool]:
    """Whether each path stays; all of fewer than five, or of equal ones. At least one always does."""
    logs = np.asarray(log_probabilities, float)
    # relative: a Weibull keeps its form under scaling
    logs = np.maximum(logs - logs.max(initial=0.0), -300.0)
    if len(logs) < FEWEST or np.ptp(logs) < 1e-9:
        return [True] * len(logs)
    belongs = (logs > np.median(logs)).astype(float)  # to the high component, (n,)
    high, low = weibull(logs, belongs), weibull(logs, 1 - belongs)
    for _ in range(ROUNDS):
        belongs = _chance(logs, float(belongs.mean()), high, low)
        if not 1e-6 < belongs.mean() < 1 - 1e-6:
            return [True] * len(logs)  # one component is enough
        high, low = weibull(logs, belongs), weibull(logs, 1 - belongs)
    if expected_log(high) < expected_log(low):
        belongs = 1 - belongs
    probabilities = np.exp(logs)
    return [bool(keep) for keep in (belongs >= 0.5) | (probabilities >= probabilities.mean())]


def weibull(logs: Floats, weights: Floats) -> tuple[float, float]:
    """(shape, log scale) of largest likelihood for exp(logs), weighed: Newton on log shape, then the scale."""
    weights = weights / weights.sum()
    mean_log = float(weights @ logs)
    spread = float(np.sqrt(weights @ (logs - mean_log) ** 2))
    shape = float(np.clip(1.2825 / max(spread, 1e-6), *SHAPES))  # log x is Gumbel: sd = pi / sqrt 6 / shape
    for _ in range(NEWTON_STEPS):
        powers = weights * np.exp(np.clip(shape * (logs - logs.max()), -700, 0))
        total = float(powers.sum())
        first = float(powers @ logs) / total
        second = float(powers @ logs**2) / total - first**2
        slope = first - 1 / shape - mean_log
        shape = float(np.clip(shape - slope / (second + 1 / shape**2), shape / 2, shape * 2))
        shape = float(np.clip(shape, *SHAPES))
    powers = weights * np.exp(np.clip(shape * (logs - logs.max()), -700, 0))
    return shape, float(logs.max() + np.log(powers.sum()) / shape)


def expected_log(fitted: tuple[float, float]) -> float:
    """E log x of a Weibull distribution: log scale - Euler's gamma / shape."""
    shape, log_scale = fitted
    return log_scale - 0.57721566 / shape


def _chance(logs: Floats, share: float, high: tuple[float, float], low: tuple[float, float]) -> Floats:
    difference = np.log(share) - np.log1p(-share) + _log_density(logs, high) - _log_density(logs, low)
    return np.asarray(1 / (1 + np.exp(-np.clip(difference, -500, 500))))


def _log_density(logs: Floats, fitted: tuple[float, float]) -> Floats:
    shape, log_scale = fitted
    z = shape * (logs - log_scale)
    return np.asarray(np.log(shape) + z - logs - np.exp(np.clip(z, -700, 500)))

"""Since when does a backend earn more or less than before? A model was swapped behind its address, or got worse.

A backend's rewards, less what a ridge on the logged features expects of them, are scanned for the moment at which their
mean changes most; the largest standardised difference is held against those of the same residuals in random order
(a permutation test, exact for exchangeable residuals). Small steps are not called a change, however certain.

When it fails: where the policy changed which queries a backend gets in a way that the features do not show, the mean
changes and the backend did not; a backend that drifts slowly is found late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_ROWS = 20  # on either side of a change
LEAST_STEP = 0.08  # of reward; less is not worth forgetting what was learned
SHUFFLES = 2000
AT_ONCE = 2_000_000  # residuals that are shuffled and scanned at a time: some 100 MB
PENALTY = 30.0  # rows, of the ridge


@dataclass(frozen=True, slots=True)
class Change:
    """One backend's."""

    backend: str
    at: float  # seconds since the epoch: the first row after it
    before: float  # mean residual, reward
    after: float
    p_value: float
    rows_after: int


def change_of(
    backend: str, time: Floats, reward: Floats, features: Floats, *, level: float, seed: int = 0
) -> Change | None:
    """The change in one backend's rewards, or None. Rows (n,) by time; `features` (n, d) finite."""
    n = len(reward)
    if n < 2 * LEAST_ROWS:
        return None
    order = np.argsort(time, kind="stable")
    residual = _residuals(features[order], reward[order])
    found, best = _largest(residual[None, :])
    split = int(best[0])
    before, after = float(residual[:split].mean()), float(residual[split:].mean())
    if abs(after - before) < LEAST_STEP:
        return None
    p_value = _p_value(residual, float(found[0]), np.random.default_rng(seed))
    if p_value > level:
        return None
    return Change(backend, float(time[order][split]), before, after, p_value, n - split)


def _p_value(residual: Floats, found: float, rng: np.random.Generator) -> float:
    """The share of random orders whose largest difference is as large, the order that was found counted."""
    some, as_large = max(1, AT_ONCE // len(residual)), 0
    for first in range(0, SHUFFLES, some):
        shuffled = np.stack([rng.permutation(residual) for _ in range(min(some, SHUFFLES - first))])
        as_large += int((_largest(shuffled)[0] >= found).sum())
    return (1 + as_large) / (SHUFFLES + 1)


def _residuals(features: Floats, reward: Floats) -> Floats:
    spread = features.std(axis=0)
    z = (features - features.mean(axis=0)) * np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    centred = reward - reward.mean()
    coef = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ centred)
    return np.asarray(centred - z @ coef)


def _largest(residuals: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Per row of (k, n): the largest standardised difference of means over all splits, and where it is."""
    n = residuals.shape[1]
    left = np.arange(LEAST_ROWS, n - LEAST_ROWS + 1)
    total = np.cumsum(residuals, axis=1)
    first = total[:, left - 1]
    difference = (total[:, -1:] - first) / (n - left) - first / left
    spread = residuals.std(axis=1, keepdims=True) + 1e-12
    z = np.abs(difference) / (spread * np.sqrt(1 / left + 1 / (n - left)))
    best = z.argmax(axis=1)
    return z[np.arange(len(z)), best], left[best]

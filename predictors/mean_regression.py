"""Poisson regression of a positive quantity's mean: E[y | z] = exp(z b), started at and drawn towards other numbers.

A regression of logs tells the typical value; its mean needs the noise to be alike everywhere, and lengths of answers
scatter far more for some queries than for others. The Poisson likelihood is right about the mean whatever the noise is
(Gourieroux, Monfort & Trognon 1984; Santos Silva & Tenreyro, "The log of gravity", 2006). Coefficients are drawn
towards those of the regression of logs, as strongly as rows held out ask for.
When it fails: one value that is hundreds of times the others' mean leads it; the caller bounds what it predicts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 15
_ENOUGH = 1e-3  # no row's logarithm moves by more: done
_LONGEST = 2.0  # how far a row's logarithm may move in one step
_SHORTEST = 1e-3  # share of a step
_CURVATURE_ROWS = 8000  # evenly spaced; more would tell the same curvature
_MOST = 20.0  # of a logarithm
_LEAST = 1e-9  # of a mean


def poisson_fit(
    z: Floats, y: Floats, weight: Floats, start: Floats, towards: Floats, penalty: float
) -> Floats:
    """Coefficients (d + 1,) for rows z (n, d + 1), whose last column is 1, and y >= 0 (n,).

    `penalty`: rows' worth of belief in `towards` (d + 1,), of which the last is hardly believed. `start`: where to
    begin.
    """
    unit = max(float(np.average(y, weights=weight)), _LEAST)
    belief = penalty * np.append(np.ones(z.shape[1] - 1), 1e-6)
    every = max(1, len(z) // _CURVATURE_ROWS)
    some, share = z[::every], len(z) / len(z[::every])
    found = start.copy()
    logs = z @ found
    lost = _lost(logs, y, weight, unit, found - towards, belief)
    for _ in range(_STEPS):
        mean = np.exp(np.minimum(logs, _MOST)) / unit
        slope = z.T @ (weight * (y / unit - mean)) - belief * (found - towards)
        curvature = share * (some * (weight * mean)[::every, None]).T @ some + np.diag(belief + 1e-9)
        step = np.linalg.solve(curvature, slope)
        moved = z @ step
        furthest = float(np.abs(moved).max())
        length = min(1.0, _LONGEST / max(furthest, 1e-12))
        less = np.inf
        while less > lost and length > _SHORTEST:
            less = _lost(logs + length * moved, y, weight, unit, found + length * step - towards, belief)
            length /= 1 if less <= lost else 2
        if less > lost:
            break
        found, logs, lost = found + length * step, logs + length * moved, less
        if furthest < _ENOUGH:
            break
    return found


def poisson_mean(z: Floats, coef: Floats, most: float) -> Floats:
    """Expected values (n,), at most `most`."""
    return np.asarray(np.minimum(np.exp(np.minimum(z @ coef, _MOST)), most))


def poisson_deviance(y: Floats, mean: Floats, weight: Floats) -> float:
    """How badly `mean` (n,) tells y >= 0 (n,): 0 is perfect, the mean over the weighted rows."""
    ratio = np.where(y > 0, y, 1.0) / np.maximum(mean, _LEAST)
    return float(2 * np.average(np.where(y > 0, y * np.log(ratio), 0.0) - (y - mean), weights=weight))


def _lost(logs: Floats, y: Floats, weight: Floats, unit: float, away: Floats, belief: Floats) -> float:
    bounded = np.minimum(logs, _MOST)
    told = np.sum(weight * (np.exp(bounded) - y * bounded)) / unit
    return float(told + 0.5 * np.sum(belief * away * away))

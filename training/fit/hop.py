"""Fit what other backends would earn given the answer in hand: ridge regression with a guard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predictors.hop_values import INPUTS, HopValues, hop_inputs

Floats = NDArray[np.float64]
_PENALTIES = (10.0, 100.0, 1000.0, np.inf)  # rows; the last: no correction
_PARTS = 5


def fit_hop_values(
    backends: tuple[str, ...], first: int, quality: Floats, in_hand: Floats, reward: Floats
) -> HopValues:
    """`quality` (n, B) held-out expectations, `in_hand` (orders, n) held-out confidences, `reward` (n, B) or NaN.

    The penalty of each backend is the one with the smallest error on queries left out; none corrects nothing.
    """
    orders, n = in_hand.shape
    tiled = np.tile(quality, (orders, 1))
    inputs = hop_inputs(tiled, in_hand.reshape(-1), first)  # (orders n, B, INPUTS)
    part = np.tile(np.arange(n) % _PARTS, orders)
    coef = np.zeros((len(backends), INPUTS))
    for place in range(len(backends)):
        if place == first:
            continue
        error = np.tile(reward[:, place], orders) - tiled[:, place]
        known = np.isfinite(error) & np.isfinite(inputs[:, place]).all(axis=1)
        if known.sum() > _PARTS * INPUTS:
            coef[place] = _guarded(inputs[known, place], error[known], part[known], orders)
    return HopValues(backends, first, coef)


def _guarded(x: Floats, y: Floats, part: NDArray[np.int64], orders: int) -> Floats:
    best, lowest = np.zeros(INPUTS), np.inf
    for penalty in _PENALTIES:
        loss = 0.0
        for one in range(_PARTS):
            inside, outside = part != one, part == one
            if inside.any():
                miss = y[outside] - x[outside] @ _ridge(x[inside], y[inside], penalty * orders)
                loss += float(miss @ miss)
        if loss < lowest:
            best, lowest = _ridge(x, y, penalty * orders), loss
    return best


def _ridge(x: Floats, y: Floats, penalty: float) -> Floats:
    if not np.isfinite(penalty):
        return np.zeros(x.shape[1])
    diagonal = penalty * np.append(1e-3, x[:, 1:].var(axis=0) + 1e-9)
    return np.asarray(np.linalg.solve(x.T @ x + np.diag(diagonal), x.T @ y), dtype=np.float64)

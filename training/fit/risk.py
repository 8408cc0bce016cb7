"""Calibrate the risk of keeping a backend's answer instead of asking another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predictors.risk_curve import RiskCurves

Floats = NDArray[np.float64]
RIGHT = 0.5  # a graded reward of this or more counts as right
ENOUGH = 30  # queries that both backends answered; fewer bound nothing


def fit_risk_curves(backends: tuple[str, ...], confidence: Floats, reward: Floats) -> RiskCurves:
    """From held-out confidences in one sample of each backend, and the rewards of the same samples, both (n, B).

    A loss: the sample was wrong and that of the other backend right. Pairs with too few queries have no curve.
    """
    measured: dict[tuple[int, int], tuple[Floats, NDArray[np.bool_]]] = {}
    for first in range(len(backends)):
        for then in range(len(backends)):
            known = np.isfinite(confidence[:, first]) & np.isfinite(reward[:, [first, then]]).all(axis=1)
            if first != then and known.sum() >= ENOUGH:
                lost = (reward[known, first] < RIGHT) & (reward[known, then] >= RIGHT)
                measured[first, then] = (confidence[known, first], lost)
    return RiskCurves.of(backends, measured)

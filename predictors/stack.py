"""Blend members by their held-out predictions, guarded by the base rate.

Weights are non-negative, sum to 1 and minimise the squared error of held-out predictions (stacking, Breiman 1996).
The first member is the base rate: where the blend, with weights found on other folds, is not better than it, the base
rate alone is served. When it fails: folds so small that being better is luck.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def simplex_weights(members: Floats, y: Floats, weight: Floats) -> Floats:
    """Weights (m,) >= 0, summing to 1, that minimise sum weight (members @ w - y)^2; members (n, m)."""
    from scipy.optimize import nnls

    root = np.sqrt(weight / weight.sum())[:, None]
    strict = 100.0  # the weight of the equation "sum is 1"
    a = np.vstack([members * root, np.full((1, members.shape[1]), strict)])
    b = np.append(y * root[:, 0], strict)
    found = nnls(a, b)[0]
    return np.asarray(found / found.sum())


def guarded_blend(
    members: Floats, y: Floats, weight: Floats, folds: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Weights (m,), and the blend of every row with weights found on the other folds, (n,).

    `members` (n, m) are held-out predictions, the first the base rate; `folds` (n,).
    """
    base_only = np.zeros(members.shape[1])
    base_only[0] = 1.0
    held_out = members[:, 0].copy()
    for fold in np.unique(folds):
        held = folds == fold
        if not held.all():
            held_out[held] = members[held] @ simplex_weights(members[~held], y[~held], weight[~held])
    if squared_error(held_out, y, weight) >= squared_error(members[:, 0], y, weight):
        return base_only, members[:, 0].copy()
    return simplex_weights(members, y, weight), held_out


def squared_error(p: Floats, y: Floats, weight: Floats) -> float:
    """The weighted mean of (p - y)^2."""
    return float(np.average((p - y) ** 2, weights=weight))

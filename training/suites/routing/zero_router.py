"""`zero_router`: the best mix of single backends at every cost, by their training averages (Hu et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.figures.hull import Hull
from training.suites.routing.decided import Decided, single_plans
from training.suites.routing.mixing import drawn
from training.suites.routing.operating_points import POINTS
from training.suites.routing.problem import Fold


def zero_router(fold: Fold) -> Mapping[str, Decided]:
    """Points evenly spaced in cost along the hull of (cost, accuracy) of the backends."""
    cost = fold.problem.cost[fold.train].mean(axis=0)
    accuracy = fold.problem.reward[fold.train].mean(axis=0)
    hull = Hull.of(cost, accuracy)
    corners = zip(hull.cost, hull.accuracy, strict=True)
    corner = [int(np.flatnonzero((cost == x) & (accuracy == y))[0]) for x, y in corners]
    mix = np.zeros((POINTS, len(cost)))
    for k, spent in enumerate(np.linspace(hull.cost[0], hull.cost[-1], POINTS)):
        right = int(np.clip(np.searchsorted(hull.cost, spent), 1, len(corner) - 1)) if len(corner) > 1 else 0
        left = max(right - 1, 0)
        width = hull.cost[right] - hull.cost[left]
        along = float(np.clip((spent - hull.cost[left]) / width, 0, 1)) if width > 0 else 1.0
        mix[k, corner[left]] += 1 - along
        mix[k, corner[right]] += along
    labels = tuple(f"cost={at:.3f}" for at in np.linspace(0, 1, POINTS))
    return {"zero_router": Decided(labels, single_plans(fold.problem), drawn(fold, mix, "zero_router"), mix)}

"""`random_mix`: the cheapest backend or the best one, by chance: what any cost buys without looking at the query."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.routing.decided import Decided, single_plans
from training.suites.routing.mixing import drawn
from training.suites.routing.operating_points import POINTS
from training.suites.routing.problem import Fold


def random_mix(fold: Fold) -> Mapping[str, Decided]:
    """The share of the best backend runs evenly from 0 to 1 (of the other one, where the cheapest is the best)."""
    small, large = fold.cheapest, fold.best
    if small == large:
        large = int(np.argmax(fold.problem.cost[fold.train].mean(axis=0)))
    share = np.linspace(0, 1, POINTS)
    mix = np.zeros((POINTS, len(fold.problem.backends)))
    mix[:, small] += 1 - share
    mix[:, large] += share  # where all cost the same both are one backend
    labels = tuple(f"share={at:.3f}" for at in share)
    return {"random_mix": Decided(labels, single_plans(fold.problem), drawn(fold, mix, "random_mix"), mix)}

"""`knn`: what the backends did on the most similar training queries, weighted by similarity.

The number of neighbours is the one with the least squared error of the rewards, each training query left out of its
own neighbourhood. The strongest simple baseline of LLMRouterBench and RouterBench.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.routing.decided import Decided
from training.suites.routing.operating_points import Estimates, decide
from training.suites.routing.problem import Fold
from training.suites.routing.text_space import Neighbours, neighbours, text_space

SIZES = (10, 20, 40, 80, 160)
LEFT_OUT = 2000  # training queries that the number is chosen, and the operating points are set, on


def knn(fold: Fold) -> Mapping[str, Decided]:
    """Cosine of TF-IDF words; rewards and costs of the neighbours, averaged."""
    space = text_space(fold)
    reward, cost = fold.problem.reward[fold.train], fold.problem.cost[fold.train]
    some = np.sort(fold.rng("knn").permutation(len(fold.train))[:LEFT_OUT])
    near_some = neighbours(space.train[some], space.train, max(SIZES), own=some.tolist())
    size = min(SIZES, key=lambda size: float(np.mean((average(near_some, reward, size) - reward[some]) ** 2)))
    near = neighbours(space.test, space.train, size)
    estimates = Estimates(
        train_quality=average(near_some, reward, size),
        train_cost=average(near_some, cost, size),
        test_quality=average(near, reward, size),
        test_cost=average(near, cost, size),
    )
    return {"knn": decide(fold, estimates)}


def average(near: Neighbours, values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The similarity-weighted mean of the `size` nearest rows' values, shape (n, B)."""
    place, weight = near.place[:, :size], np.maximum(near.cosine[:, :size], 0).astype(np.float64) + 1e-6
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkb->nb", weight, values[place]), dtype=np.float64)

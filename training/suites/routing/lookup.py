"""`lookup`: a table per kind of query, the kind inferred as a cluster of similar texts.

The number of clusters is the one whose table has the least squared error of the rewards, each training query left out
of its own cell.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.routing.decided import Decided
from training.suites.routing.group_table import GroupTable
from training.suites.routing.operating_points import Estimates, decide
from training.suites.routing.problem import Fold
from training.suites.routing.text_space import reduced, text_space

CLUSTERS = (8, 24, 64, 128)


def lookup(fold: Fold) -> Mapping[str, Decided]:
    """k-means over reduced TF-IDF words."""
    from sklearn.cluster import MiniBatchKMeans

    seed = int(fold.rng("lookup").integers(2**31))
    train, test = reduced(text_space(fold), seed)
    reward = fold.problem.reward[fold.train]
    tried: list[tuple[float, int, NDArray[np.int64], NDArray[np.int64]]] = []
    for clusters in (number for number in CLUSTERS if number <= len(train) // 4):
        means = MiniBatchKMeans(clusters, random_state=seed, n_init=3, batch_size=2048).fit(train)
        group = means.labels_.astype(np.int64)
        left_out = GroupTable.of(group, reward, clusters).mean_without_self(group, reward)
        error = float(np.mean((left_out - reward) ** 2))
        tried.append((error, clusters, group, means.predict(test).astype(np.int64)))
    _, clusters, group, test_group = min(tried, key=lambda attempt: attempt[:2])
    return {"lookup": decide(fold, table_estimates(fold, group, test_group, clusters))}


def table_estimates(
    fold: Fold, group: NDArray[np.int64], test_group: NDArray[np.int64], groups: int
) -> Estimates:
    """Group averages of rewards and costs; -1 in `test_group`: never seen."""
    reward, cost = fold.problem.reward[fold.train], fold.problem.cost[fold.train]
    rewards, costs = GroupTable.of(group, reward, groups), GroupTable.of(group, cost, groups)
    return Estimates(
        train_quality=rewards.mean_without_self(group, reward),
        train_cost=costs.mean_without_self(group, cost),
        test_quality=rewards.mean(test_group),
        test_cost=costs.mean(test_group),
    )

"""What no estimate from a log can be expected to beat: a doubly robust one whose model had full information.

Every query's reward under every backend is shown to the model, but for the queries that it predicts (ten folds by
query). Several models are fitted (ridges over what is logged, over all that is served, boosted trees); the one with the
least squared error on held-out queries is taken. A log has each query under one backend only. (A model that had also
seen the very query that it predicts would know the answer: that is the truth, not a model.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from training.suites.ope.world import Floats, World

FOLDS = 10
PENALTIES = (10.0, 100.0, 300.0)
TREES = {"num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 30, "feature_fraction": 0.3}
ROUNDS = 80
ENOUGH_FOR_TREES = 400

Fit = Callable[[NDArray[np.bool_]], Floats]  # training queries -> predictions for all (N, B)


def full_information(world: World, seed: int) -> Floats:
    """Predicted rewards (N, B), each by a model that did not see the query."""
    fold = np.random.default_rng([seed, 11]).integers(0, FOLDS, len(world))
    best, least = world.expected, np.inf
    for fit in _models(world, seed):
        predicted = np.empty_like(world.reward)
        for k in range(FOLDS):
            if (fold == k).any():
                predicted[fold == k] = fit(fold != k)[fold == k]
        predicted = np.clip(predicted, 0.0, 1.0)
        error = float(np.mean((predicted - world.reward) ** 2))
        if error < least:
            best, least = predicted, error
    return best


def _models(world: World, seed: int) -> Iterator[Fit]:
    scale = world.features.std(axis=0)
    logged = (world.features - world.features.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0)
    few = logged[:, : 2 * len(world.backends)]  # expectations alone
    everything = np.hstack([few, world.served])
    for features in (few, logged, everything):
        for penalty in PENALTIES:
            yield _ridge(features, world.reward, penalty)
    if len(world) >= ENOUGH_FOR_TREES:
        yield _trees(everything, world.reward, seed)


def _ridge(features: Floats, reward: Floats, penalty: float) -> Fit:
    def fit(train: NDArray[np.bool_]) -> Floats:
        rows, level = features[train], reward[train].mean(axis=0)
        gram = rows.T @ rows + penalty * np.eye(rows.shape[1])
        return np.asarray(level + features @ np.linalg.solve(gram, rows.T @ (reward[train] - level)))

    return fit


def _trees(features: Floats, reward: Floats, seed: int) -> Fit:
    import lightgbm

    options = TREES | {
        "objective": "l2",
        "verbose": -1,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
    }

    def fit(train: NDArray[np.bool_]) -> Floats:
        columns = []
        for backend in range(reward.shape[1]):
            rows = lightgbm.Dataset(features[train], reward[train, backend])
            columns.append(lightgbm.train(options, rows, ROUNDS).predict(features))
        return np.stack(columns, axis=1)

    return fit

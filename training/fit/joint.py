"""Fit the trees that many backends share, and predict every row while its query's fold is held out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.joint_trees import JointTrees, joint_rows
from predictors.neighbours import prototypes
from predictors.trees import Trees

Floats = NDArray[np.float64]
FROM = 5  # backends from which they share trees; fewer have a head each
_MOST_ROWS = 60_000  # of (query, backend); a seeded choice of queries where there are more
_ENOUGH = 400  # labelled rows
_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class JointFit:
    """The model and its held-out predictions."""

    model: JointTrees
    rewards: Floats = field(compare=False)  # (n, B)
    lengths: Floats = field(compare=False)  # (n, B) log(1 + tokens)


def fit_joint(
    scores: Floats,
    dense: NDArray[np.float32],
    places: NDArray[np.float32],
    reward: Floats,
    tokens: Floats,
    folds: NDArray[np.int64],
    seed: int,
) -> JointFit | None:
    """None for few backends or labels. `scores` (n, 2 B) held out, `dense` (n, d), `places` (n, w), else (n, B).

    Tokens that a limit cut count as they are: the lengths' own correction for censoring comes after.
    """
    n, backends = reward.shape
    known, measured = np.isfinite(reward), np.isfinite(tokens)
    if backends < FROM or min(known.sum(), measured.sum()) < _ENOUGH or len(np.unique(folds)) < 2:
        return None
    rates = np.where(known, reward, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    logs = np.log1p(tokens)
    values = np.hstack([reward, logs])
    near = np.empty(values.shape)
    for part in np.unique(folds):
        inside, outside = folds != part, folds == part
        drawn_from = np.random.default_rng([seed, int(part)])
        near[outside] = prototypes(places[inside], values[inside], drawn_from).many(places[outside])
    everyone = prototypes(places, values, np.random.default_rng(seed))
    rows = joint_rows(rates, scores, near, np.hstack([dense, places]))
    fold = np.repeat(folds, backends)
    drawn = np.ones(n, dtype=np.bool_)
    if n * backends > _MOST_ROWS:
        drawn[:] = False
        drawn[np.random.default_rng(seed).permutation(n)[: _MOST_ROWS // backends]] = True
    longest = max(float(np.nanmax(logs)), 1e-9)
    use = np.repeat(drawn, backends)
    right, held_rewards = _cross_fitted(rows, reward.ravel(), use, fold, seed)
    long, held_lengths = _cross_fitted(rows, (logs / longest).ravel(), use, fold, seed + 1)
    model = JointTrees(rates, longest, right, long, everyone)
    return JointFit(model, held_rewards.reshape(n, backends), longest * held_lengths.reshape(n, backends))


def _cross_fitted(
    rows: NDArray[np.float32], y: Floats, use: NDArray[np.bool_], fold: NDArray[np.int64], seed: int
) -> tuple[Trees, Floats]:
    used = use & np.isfinite(y)
    found = np.full(len(y), float(y[used].mean()))
    for part in np.unique(fold):
        inside, outside = used & (fold != part), fold == part
        if inside.sum() >= 2:
            found[outside] = _grown(rows[inside], y[inside], seed).predict(rows[outside])
    return _grown(rows[used], y[used], seed), found


def _grown(rows: NDArray[np.float32], y: Floats, seed: int) -> Trees:
    trees = Trees(_ROUNDS, leaves=15, rate=0.05, rows_per_leaf=40, features=0.4)
    return trees.fit(rows, y, np.ones(len(y)), seed)

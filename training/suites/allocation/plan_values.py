"""What each plan is expected to give for each query: a correction of what its last backend would, by ridge regression.

Inputs are what is expected of every backend before anything is drawn. A plan's reward is its last backend's expected
reward plus a linear correction, its cost a plain sum of expected costs plus another; the penalty is the one with the
smallest error on training queries left out, and no correction but a constant is one of the choices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.plays import Shape
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]
_PENALTIES = (30.0, 300.0, 3000.0, np.inf)  # rows
_PARTS = 4
_INSIDE = 0.02  # of logits


def fit_plan_values(
    shapes: Sequence[Shape], quality: Floats, cost: Floats, reward: Floats, spent: Floats, fold: Fold
) -> tuple[Floats, Floats]:
    """Expected reward and cost of every plan, both (n, P); training queries without themselves.

    `quality`, `cost` (n, B) are expectations; `reward`, `spent` (n, P) are outcomes, of which only training rows are
    read.
    """
    z = plan_inputs(quality, cost)
    last = [shape.legs[-1].backend for shape in shapes]
    guess = quality[:, last]
    gained = np.clip(guess + corrected(z, reward - guess, fold), 0.0, 1.0)
    units = np.stack(
        [_cost_guess(shape, cost, spent[:, at], fold) for at, shape in enumerate(shapes)], axis=1
    )
    paid = np.maximum(units + corrected(z, spent - units, fold), 0.2 * units.min(axis=0))
    for place, shape in enumerate(shapes):
        if shape.single:  # its backend's own heads say it
            gained[:, place], paid[:, place] = guess[:, place], units[:, place]
    return gained, paid


def _cost_guess(shape: Shape, cost: Floats, spent: Floats, fold: Fold) -> Floats:
    """In proportion to a sample's: as many as training queries drew; with two legs the second half of the time."""
    first = cost[:, shape.legs[0].backend]
    if len(shape.legs) > 1:
        return first * shape.legs[0].samples + 0.5 * cost[:, shape.legs[1].backend]
    if shape.single:
        return first
    expected = float(first[fold.train].sum())
    return first * (float(spent[fold.train].sum()) / expected if expected > 0 else 1.0)


def plan_inputs(quality: Floats, cost: Floats) -> Floats:
    """(n, z): expected rewards, their logits, expected costs against their means, in logarithms."""
    inside = np.clip(quality, _INSIDE, 1 - _INSIDE)
    dear = np.log(np.maximum(cost, 1e-12) / np.maximum(cost.mean(axis=0), 1e-12))
    return np.hstack([quality, np.log(inside / (1 - inside)), np.clip(dear, -3, 3)])


def corrected(z: Floats, error: Floats, fold: Fold) -> Floats:
    """The part of `error` (n, P) that `z` foretells, each training query predicted without its part of the folds."""
    train, test = fold.train, fold.test
    mean, spread = z[train].mean(axis=0), z[train].std(axis=0)
    scaled = np.clip((z - mean) / np.where(spread > 1e-9, spread, 1.0), -5, 5)
    part = fold.rng("plan values").integers(_PARTS, size=len(train))
    best, lowest = np.zeros_like(error), np.full(error.shape[1], np.inf)
    for penalty in _PENALTIES:
        found = np.zeros_like(error)
        for one in range(_PARTS):
            inside, outside = train[part != one], train[part == one]
            found[outside] = _ridge(scaled, error, inside, penalty, outside)
        found[test] = _ridge(scaled, error, train, penalty, test)
        loss = ((found[train] - error[train]) ** 2).mean(axis=0)
        better = loss < lowest
        best[:, better], lowest[better] = found[:, better], loss[better]
    return best


def _ridge(
    z: Floats, y: Floats, rows: NDArray[np.int64], penalty: float, wanted: NDArray[np.int64]
) -> Floats:
    level = y[rows].mean(axis=0)
    if not np.isfinite(penalty):
        return np.broadcast_to(level, (len(wanted), y.shape[1]))
    x = z[rows]
    centre = x.mean(axis=0)
    x = x - centre
    coef = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y[rows] - level))
    return np.asarray((z[wanted] - centre) @ coef + level, dtype=np.float64)

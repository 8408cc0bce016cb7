"""From estimates to decisions at many operating points, all of them chosen on the training queries.

Every learned subject gives what it expects of each backend for each query, and is then judged by one rule: the plan
with the highest utility q - lambda c, the live policy's own, at a range of prices. With two backends each is charged
its mean cost, so that the points are thresholds on the *gain* of the dearer backend, and the share of its calls is
the axis (as APGR wants it). With more, each query is charged what it is expected to cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.routing.decided import Decided, single_plans
from training.suites.routing.problem import Fold
from training.utility_rule import best_plan

POINTS = 41  # evenly spaced over the share of dear calls, or over the cost
TIE = 1e-9  # gains that differ by less are equal
BEYOND = 5  # further points, up to where cost does not matter
PRICES = 600  # tried to find them


@dataclass(frozen=True, slots=True)
class Estimates:
    """Expected reward in [0, 1] and cost in dollars of each backend, for the training and the test queries.

    The training rows must not have seen their own label (leave one out, or cross-fitted).
    """

    train_quality: NDArray[np.float64] = field(compare=False)  # (n_train, B)
    train_cost: NDArray[np.float64] = field(compare=False)
    test_quality: NDArray[np.float64] = field(compare=False)  # (n_test, B)
    test_cost: NDArray[np.float64] = field(compare=False)
    p_small_wrong: NDArray[np.float64] | None = field(default=None, compare=False)  # (n_test,)


def decide(fold: Fold, estimates: Estimates) -> Decided:
    """Choose for every test query at every operating point: by share with two backends, by price with more."""
    if len(fold.problem.backends) > 2:
        return decide_by_price(fold, estimates)
    return _decided(fold, estimates, *_by_share(fold, estimates))


def decide_by_price(fold: Fold, estimates: Estimates) -> Decided:
    """The same with every query charged what it is expected to cost, also with two backends."""
    return _decided(fold, estimates, *_by_price(fold, estimates))


def _decided(fold: Fold, estimates: Estimates, points: tuple[str, ...], choice: NDArray[np.int16]) -> Decided:
    wrong = estimates.p_small_wrong
    if wrong is None:
        wrong = 1 - estimates.test_quality[:, fold.cheapest]
    return Decided(points, single_plans(fold.problem), choice, p_small_wrong=wrong)


def thresholds(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """A falling threshold for each share 0, 1/40, …, 1 of rows with gain > threshold; the ends let none and all."""
    inner = np.quantile(gain, 1 - np.arange(1, POINTS - 1) / (POINTS - 1))
    return np.concatenate(([np.inf], inner, [-np.inf]))


def share_labels() -> tuple[str, ...]:
    """The points' names."""
    return tuple(f"share={share:.3f}" for share in np.arange(POINTS) / (POINTS - 1))


def _by_share(fold: Fold, estimates: Estimates) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    small = fold.cheapest
    large = 1 - small
    train_gain = estimates.train_quality[:, large] - estimates.train_quality[:, small]
    gain = estimates.test_quality[:, large] - estimates.test_quality[:, small]
    # Equal gains (a table's cell, a constant) are split by chance: a share in between is a mix, not all or none.
    cut = thresholds(train_gain + fold.rng("train ties").uniform(-TIE, TIE, len(train_gain)))
    gain = gain + fold.rng("ties").uniform(-TIE, TIE, len(gain))
    return share_labels(), np.where(gain[None, :] > cut[:, None], large, small).astype(np.int16)


def _by_price(fold: Fold, estimates: Estimates) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """Prices whose mean training cost is evenly spaced up to the best single backend's, and some for more.

    The ends are always the cheapest and always the best: whoever routes can do that, too.
    """
    prices = price_range(estimates)
    spent = np.array(
        [
            np.take_along_axis(
                estimates.train_cost,
                best_plan(estimates.train_quality, estimates.train_cost, price)[:, None],
                axis=1,
            ).mean()
            for price in prices
        ]
    )
    return spaced(
        fold,
        estimates,
        spent,
        lambda at: best_plan(estimates.test_quality, estimates.test_cost, prices[at]),
    )


def spaced(
    fold: Fold,
    estimates: Estimates,
    spent: NDArray[np.float64],
    choose: Callable[[int], NDArray[np.int64]],
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """Operating points, evenly spaced up to the best single backend's cost, some up to the most, and the two ends.

    `spent`: what each setting spends on the training queries; `choose` gives what the setting of a number does with
    the test queries.
    """
    dear = float(np.mean(estimates.train_cost[:, fold.best]))
    span = np.linspace(min(float(spent.min()), dear), dear, POINTS)
    further = np.linspace(dear, max(float(spent.max()), dear), BEYOND + 1)[1:]
    rows = [np.full(len(estimates.test_quality), fold.cheapest)]
    rows += [choose(int(np.argmin(np.abs(spent - target)))) for target in (*span, *further)]
    rows += [np.full(len(estimates.test_quality), fold.best)]
    labels = (
        *(f"cost={share:.3f}" for share in np.arange(POINTS) / (POINTS - 1)),
        *(f"beyond={share:.3f}" for share in np.arange(1, BEYOND + 1) / BEYOND),
    )
    return ("cheapest", *labels, "best"), np.stack(rows).astype(np.int16)


def price_range(estimates: Estimates) -> NDArray[np.float64]:
    """0, and prices from where cost hardly matters to where nothing else does, rising; quality per dollar."""
    spread = float(np.ptp(estimates.train_cost, axis=1).mean())
    if spread <= 0:
        return np.zeros(1)
    return np.concatenate(([0.0], np.geomspace(1e-4, 1e4, PRICES) / spread))

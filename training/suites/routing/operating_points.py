"""From estimates to decisions at many operating points, all of them chosen on the training queries.

Every learned subject gives what it expects of each backend for each query, and is then judged by one rule: the plan
with the highest utility q - lambda c, the live policy's own, at a range of prices. Each query is charged what it is
expected to cost. Of two backends whose costs lie far apart each is charged its mean cost instead, so that the points
are thresholds on the *gain* of the dearer one, and the share of its calls is the axis (as APGR wants it); the nearer
the two costs are, the less a share of calls says of money, and the more counts a query's own cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.suites.routing.decided import Decided, single_plans
from training.suites.routing.problem import Fold
from training.utility_rule import best_plan

POINTS = 41  # evenly spaced over the share of dear calls, or over the cost
TIE = 1e-9  # gains that differ by less are equal
BEYOND = 5  # further points, up to where cost does not matter
PRICES = 600  # tried to find them
FAR = 1 / 20  # the cheaper's mean cost over the dearer's, below which calls are as good as money


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
    """Choose for every test query at every operating point: by share with two backends far apart, else by price."""
    own = _own_cost(fold)
    if own < FAR:
        return _decided(fold, estimates, *_by_share(fold, estimates))
    return _decided(fold, estimates, *_by_price(fold, _untied(fold, estimates), own))


def decide_by_price(fold: Fold, estimates: Estimates) -> Decided:
    """Every query charged what it is expected to cost, also with two backends."""
    return _decided(fold, estimates, *_by_price(fold, estimates))


def _own_cost(fold: Fold) -> float:
    """How much of a query's own distance from the mean cost is charged, 0 to 1: of two backends their costs' ratio."""
    if len(fold.problem.backends) > 2:
        return 1.0
    cost = fold.problem.cost[fold.train].mean(axis=0)
    dearest = float(cost.max())
    return float(cost.min()) / dearest if dearest > 0 else 1.0


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
    untied = _untied(fold, estimates)
    cut = thresholds(untied.train_quality[:, large] - untied.train_quality[:, small])
    gain = untied.test_quality[:, large] - untied.test_quality[:, small]
    return share_labels(), np.where(gain[None, :] > cut[:, None], large, small).astype(np.int16)


def _untied(fold: Fold, estimates: Estimates) -> Estimates:
    """Equal gains (a table's cell, a constant) are split by chance: what is in between is a mix, not all or none."""
    large = 1 - fold.cheapest

    def split(quality: NDArray[np.float64], purpose: str) -> NDArray[np.float64]:
        found = quality.copy()
        found[:, large] += fold.rng(purpose).uniform(-TIE, TIE, len(quality))
        return found

    return replace(
        estimates,
        train_quality=split(estimates.train_quality, "train ties"),
        test_quality=split(estimates.test_quality, "ties"),
    )


def _by_price(
    fold: Fold, estimates: Estimates, own: float = 1.0
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """Prices whose mean training cost is evenly spaced up to the best single backend's, and some for more.

    The ends are always the cheapest and always the best: whoever routes can do that, too.
    """
    mean = estimates.train_cost.mean(axis=0)
    charged = replace(
        estimates,
        train_cost=mean + own * (estimates.train_cost - mean),
        test_cost=mean + own * (estimates.test_cost - mean),
    )
    prices = price_range(estimates)
    if estimates.train_quality.shape[1] == 2:
        prices = np.union1d(prices, _turning_prices(charged))
    spent = np.array(
        [
            np.take_along_axis(
                estimates.train_cost,
                best_plan(charged.train_quality, charged.train_cost, price)[:, None],
                axis=1,
            ).mean()
            for price in prices
        ]
    )
    return spaced(
        fold,
        estimates,
        spent,
        lambda at: best_plan(charged.test_quality, charged.test_cost, prices[at]),
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


def _turning_prices(estimates: Estimates) -> NDArray[np.float64]:
    """Prices at which training queries turn from one of two backends to the other, between every two neighbours."""
    gain = np.diff(estimates.train_quality, axis=1)[:, 0]
    more = np.diff(estimates.train_cost, axis=1)[:, 0]
    turning = np.divide(gain, more, out=np.zeros(len(gain)), where=more != 0)
    some = np.quantile(turning, np.linspace(0, 1, PRICES + 1))
    return np.asarray(np.maximum((some[1:] + some[:-1]) / 2, 0.0))


def price_range(estimates: Estimates) -> NDArray[np.float64]:
    """0, and prices from where cost hardly matters to where nothing else does, rising; quality per dollar."""
    spread = float(np.ptp(estimates.train_cost, axis=1).mean())
    if spread <= 0:
        return np.zeros(1)
    return np.concatenate(([0.0], np.geomspace(1e-4, 1e4, PRICES) / spread))

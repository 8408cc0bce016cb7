"""`apportion`: for every query the plan with the highest utility, of one sample, weighed votes and hops together.

Three menus are tried on the training queries (one sample; with hops after it; with weighed votes and hops after them),
and at each cost the one that does best there serves: a plan that cannot be told from a better one must not be offered.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.by_utility import by_utility
from training.suites.allocation.decided import Decided
from training.suites.allocation.hop import goes_to, label_of, path_of, realised
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import Family, by_price, prices_of, spaced, with_ends
from training.utility_rule import best_plan

Floats = NDArray[np.float64]
_PARTS = 5
_PENALTY = 2.0  # of inputs between -1 and 1: some twenty rows' worth


def apportion(known: Known) -> Mapping[str, Decided]:
    """The joint choice."""
    shapes = known.shapes
    single = [at for at, shape in enumerate(shapes) if shape.single]
    votes = [at for at, shape in enumerate(shapes) if shape.single or shape.weighs]
    menus = [by_utility(known, single)]
    if known.hops:
        worth = hop_worth(known)
        ones = [turn for turn, one in enumerate(known.hops) if shapes[one.plan].single]
        every = list(range(len(known.hops)))
        menus += [_with_hops(known, single, ones, worth), _with_hops(known, votes, every, worth)]
    else:
        menus.append(by_utility(known, votes))
    return {"apportion": with_ends(known, spaced(known, menus))}


def hop_worth(known: Known) -> Floats:
    """(hops, n, prices) expected reward minus price times cost of each hop before its first answer.

    Between two bounds: a look that tells nothing is worth max(q_a, d), one that tells all q_a + (1 - q_a) max(d, 0),
    with d the best utility of the others. A ridge regression of what hopping really gave on the training queries finds
    the place between them (and corrects it); training queries are left out of their own prediction.
    """
    prices = prices_of(known)
    part = known.fold.rng("hop worth").integers(_PARTS, size=len(known.train))
    found = []
    for one in known.hops:
        gave = realised(known, one, prices)
        own, paid = known.plan_quality[:, one.plan], known.plan_cost[:, one.plan]
        others = np.delete(np.arange(known.quality.shape[1]), one.first)
        worth = np.empty_like(gave)
        for at, price in enumerate(prices.tolist()):
            best = (known.quality[:, others] - price * known.cost[:, others]).max(axis=1)
            blind, clear = np.maximum(own, best), own + (1 - own) * np.maximum(best, 0.0)
            d = np.clip(best, -1.0, 1.0)
            x = np.stack([np.ones_like(own), blind, clear, own, d, own * d, own * own], axis=1)
            base = (blind + clear) / 2 - price * paid
            worth[:, at] = base + _left_out(x, gave[:, at] - base, known.train, known.test, part)
        found.append(worth)
    return np.stack(found)


def _left_out(
    x: Floats, y: Floats, train: NDArray[np.int64], test: NDArray[np.int64], part: NDArray[np.int64]
) -> Floats:
    found = np.empty(len(x))
    for one in range(_PARTS):
        found[train[part == one]] = x[train[part == one]] @ _ridge(
            x[train[part != one]], y[train[part != one]]
        )
    found[test] = x[test] @ _ridge(x[train], y[train])
    return found


def _ridge(x: Floats, y: Floats) -> Floats:
    penalty = np.diag([1e-3] + [_PENALTY] * (x.shape[1] - 1))  # the intercept is free
    return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ y), dtype=np.float64)


def _with_hops(known: Known, plans: list[int], hops: list[int], worth: Floats) -> Family:
    """The best of `plans` and of `hops`, numbers of those known, for every query at every price."""
    some = np.asarray(plans)
    quality, cost = known.plan_quality[:, some], known.plan_cost[:, some]
    number = {price: at for at, price in enumerate(prices_of(known).tolist())}
    rows = np.arange(len(quality))

    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = best_plan(quality, cost, price)
        utility = quality[rows, chosen] - price * cost[rows, chosen]
        plan, path = chosen, some[chosen]
        for turn, which in enumerate(hops):
            one, mine = known.hops[which], worth[which, :, number[price]]
            better = mine > utility
            plan = np.where(better, len(plans) + turn, plan)
            path = np.where(better, path_of(one, goes_to(known, one, price)), path)
            utility = np.where(better, mine, utility)
        return plan, path

    labels = [known.shapes[at].name for at in plans] + [label_of(known, known.hops[at]) for at in hops]
    return by_price(known, labels, decide)

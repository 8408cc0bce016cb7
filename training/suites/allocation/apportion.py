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
from training.worth_of_looking import PARTS, worth_of_looking

Floats = NDArray[np.float64]


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
    """(hops, n, prices) expected reward minus price times cost of each hop before its first answer."""
    prices, n = prices_of(known), len(known.quality)
    part = np.zeros(n, dtype=np.int64)
    part[known.train] = known.fold.rng("hop worth").integers(PARTS, size=len(known.train))
    found = []
    for one in known.hops:
        gave = np.full((n, len(prices)), np.nan)
        gave[known.train] = realised(known, one, prices)[known.train]
        own, paid = known.plan_quality[:, one.plan], known.plan_cost[:, one.plan]
        others = np.delete(np.arange(known.quality.shape[1]), one.first)
        worth = np.empty_like(gave)
        for at, price in enumerate(prices.tolist()):
            best = (known.quality[:, others] - price * known.cost[:, others]).max(axis=1)
            worth[:, at] = worth_of_looking(own, best, gave[:, at] + price * paid, part) - price * paid
        found.append(worth)
    return np.stack(found)


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

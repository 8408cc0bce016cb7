"""`apportion`: for every query the plan with the highest utility, of one sample, votes, cascades and hops together.

What a hop is worth before it begins is regressed on what is expected of the backends, at every price. Four menus are
tried on the training queries (one sample; with hops; with votes and cascades; with all), and at each cost the one that
does best there serves: a plan that cannot be told from a better one must not be offered.
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
from training.suites.allocation.plan_values import corrected, plan_inputs
from training.utility_rule import best_plan

Floats = NDArray[np.float64]


def apportion(known: Known) -> Mapping[str, Decided]:
    """The joint choice."""
    single = [at for at, shape in enumerate(known.shapes) if shape.single]
    every = list(range(len(known.shapes)))
    families = [by_utility(known, single), by_utility(known, every)]
    if known.hops:
        worth = hop_worth(known)
        families += [_with_hops(known, single, worth), _with_hops(known, every, worth)]
    return {"apportion": with_ends(known, spaced(known, families))}


def hop_worth(known: Known) -> Floats:
    """(hops, n, prices) expected reward minus price times cost of each hop before its first answer."""
    prices = prices_of(known)
    inputs = plan_inputs(known.quality, known.cost)
    found = []
    for one in known.hops:
        guess = np.stack(
            [(known.quality - price * known.cost).max(axis=1) for price in prices.tolist()], axis=1
        )
        found.append(guess + corrected(inputs, realised(known, one, prices) - guess, known.fold))
    return np.stack(found)


def _with_hops(known: Known, plans: list[int], worth: Floats) -> Family:
    some = np.asarray(plans)
    quality, cost = known.plan_quality[:, some], known.plan_cost[:, some]
    number = {price: at for at, price in enumerate(prices_of(known).tolist())}
    rows = np.arange(len(quality))

    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = best_plan(quality, cost, price)
        utility = quality[rows, chosen] - price * cost[rows, chosen]
        plan, path = chosen, some[chosen]
        for turn, one in enumerate(known.hops):
            mine = worth[turn, :, number[price]]
            better = mine > utility
            plan = np.where(better, len(plans) + turn, plan)
            path = np.where(better, path_of(one, goes_to(known, one, price)), path)
            utility = np.where(better, mine, utility)
        return plan, path

    labels = [known.shapes[at].name for at in plans] + [label_of(known, one) for one in known.hops]
    return by_price(known, labels, decide)

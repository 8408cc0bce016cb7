"""`hop`: ask a cheap backend first, look at its answer, then stop or ask the one that is worth its price."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Hop, Known
from training.suites.allocation.operating_points import Family, by_price, spaced, with_ends


def hop(known: Known) -> Mapping[str, Decided]:
    """Begins with the same backend for all queries."""
    if not known.hops:
        return {}
    ones = [one for one in known.hops if known.shapes[one.plan].single]
    return {"hop": with_ends(known, spaced(known, [_family(known, one) for one in ones]))}


def label_of(known: Known, one: Hop) -> str:
    """The plan's name."""
    return f"hop:{known.shapes[one.plan].name}"


def _family(known: Known, one: Hop) -> Family:
    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        then = goes_to(known, one, price)
        return np.zeros(len(then), np.int64), path_of(one, then)

    return by_price(known, [label_of(known, one)], decide)


def goes_to(known: Known, one: Hop, price: float, order: int = 0) -> NDArray[np.int64]:
    """(n,) the backend that is asked next; the first itself where its answer is kept. Ties keep it."""
    worth = one.going_on[order] - price * known.cost
    worth[:, one.first] = one.in_hand[order]
    then = np.argmax(worth, axis=1)
    kept = worth[:, one.first] >= worth[np.arange(len(then)), then]
    return np.where(kept, one.first, then)


def path_of(one: Hop, then: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) what was played: the first plan alone, or a chain."""
    return np.asarray(np.asarray(one.paths)[then], dtype=np.int64)


def realised(known: Known, one: Hop, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, prices) reward minus price times cost of hopping, mean over the orders; of training queries."""
    problem, every = known.problem, np.arange(len(known.quality))
    found = np.zeros((len(every), len(prices)))
    orders = len(one.in_hand)
    for order in range(orders):
        own, paid = known.rewards[order, :, one.plan], known.costs[order, :, one.plan]
        for at, price in enumerate(prices.tolist()):
            then = goes_to(known, one, price, order)
            kept = then == one.first
            reward = np.where(kept, own, problem.reward[every, then])
            cost = paid + np.where(kept, 0.0, problem.cost[every, then])
            found[:, at] += (reward - price * cost) / orders
    return found

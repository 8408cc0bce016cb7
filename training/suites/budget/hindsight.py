"""What could have been had from the same queries and money: by the best fixed price, and by anybody at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router.pricing.offers import MICRO, offer_of
from training.errors import TrainingError
from training.suites.budget.world import World


def best_fixed(world: World, rows: NDArray[np.int64], limit: int) -> tuple[float, float]:
    """(price, sum of rewards) of the fixed price that earns most and whose spending fits the limit."""
    count = np.bincount(rows, minlength=len(world)).astype(np.float64)
    every, best, quality = np.arange(len(world)), float(world.prices[-1]), -np.inf
    for price in world.prices.tolist():
        plan = world.at_price(price)
        if float(count @ world.paid[every, plan]) <= limit:
            earned = float(count @ world.reward[every, plan])
            if earned > quality:
                best, quality = price, earned
    if not np.isfinite(quality):
        raise TrainingError(
            f"budget: ${limit / 1e6:g} do not cover even the cheapest plans for {len(rows)} queries"
        )
    return best, quality


def knapsack(world: World, rows: NDArray[np.int64], limit: int) -> float:
    """The largest sum of rewards for the limit, by somebody who knows every outcome, fractions of plans allowed.

    An upper bound for everybody: steps along each query's hull, the ones with the most reward per dollar first
    (Dantzig 1957). A query may also be left out at no cost.
    """
    count = np.bincount(rows, minlength=len(world))
    steps: list[tuple[float, float]] = []
    room, earned = float(limit), 0.0
    for times, paid, reward in zip(count.tolist(), world.paid.tolist(), world.reward.tolist(), strict=True):
        earned += times * max(
            (gave for cost, gave in zip(paid, reward, strict=True) if cost == 0), default=0.0
        )
        offer = offer_of([(0.0, 0.0), *zip(paid, reward, strict=True)])
        steps += [(worth, more * times) for worth, more in offer.steps] if times else []
    for worth, more in sorted(steps, reverse=True):
        taken = min(room, more)
        earned += worth * MICRO * taken
        room -= taken
    return earned


def budget_for(world: World, rows: NDArray[np.int64], share: float) -> int:
    """Micro-dollars that lie so far between the cheapest plans' cost for these queries and the best plans'."""
    every = np.arange(len(world))
    count = np.bincount(rows, minlength=len(world))
    least, most = (
        int(count @ world.paid[every, world.at_price(price)]) for price in (float(world.prices[-1]), 0.0)
    )
    return int(least + share * (most - least))

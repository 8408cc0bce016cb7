"""What the service knows before a window begins: the bundle's typical queries; from a log also when they came.

Its queries are others than those of the window: those that the heads were fitted on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predictors.typical_queries import MOST
from router.pricing.demand import HOUR_S, HOURS, hourly_shares
from router.pricing.hours import Typical
from router.pricing.offers import Offer, offer_of
from training.suites.budget.world import World

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
WIDTH = 0.5  # where queries drift: at any time they come from so much of the order, which moves along


def drifting_rows(quality: Floats, cost: Floats, at: Floats, rng: np.random.Generator) -> Whole:
    """Rows of queries (n, P) at times [0, 1): from those that compute helps least to those it helps most."""
    gain = quality.max(axis=1) - quality[np.arange(len(quality)), cost.argmin(axis=1)]
    order = np.argsort(gain, kind="stable")
    place = (at * (1 - WIDTH) + WIDTH * rng.random(len(at))) * len(order)
    return np.asarray(order[np.minimum(place.astype(np.int64), len(order) - 1)], dtype=np.int64)


def typical_at_any_time(world: World) -> Typical:
    """Drawn as a bundle draws them that was fitted on recordings, which may be in order of their tasks."""
    some = np.random.default_rng(0).permutation(len(world.typical_quality))[:MOST]
    return Typical(_offers(world, some))


def typical_of_a_day(
    world: World, at: Floats, rng: np.random.Generator, *, drifts: bool, backwards: bool
) -> Typical:
    """Drawn as a bundle draws them that was fitted on the log of a day, whose queries came at times [0, 1)."""
    quality, cost = world.typical_quality, world.typical_cost
    if drifts:
        rows = drifting_rows(quality, cost, 1 - at if backwards else at, rng)
    else:
        rows = rng.integers(len(quality), size=len(at))
    some = rng.permutation(len(at))[:MOST]
    hours = np.minimum((at[some] * HOURS).astype(int), HOURS - 1)
    busy = hourly_shares((at * HOURS * HOUR_S).tolist())
    return Typical(_offers(world, rows[some]), tuple(hours.tolist()), busy)


def _offers(world: World, rows: Whole) -> tuple[Offer, ...]:
    quality, cost = world.typical_quality[rows].tolist(), world.typical_cost[rows].tolist()
    return tuple(offer_of(zip(costs, row, strict=True)) for costs, row in zip(cost, quality, strict=True))

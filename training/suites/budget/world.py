"""What queries would do: of every test query and plan what is expected, and what was recorded.

Plans are those of the suite `allocation` where the recording has several samples of a query, else every backend alone.
Expectations come from heads that were fitted on other queries; what is paid and earned is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from training.errors import NotEnoughData
from training.suites.allocation.known import know
from training.suites.allocation.problem import allocation_problem
from training.suites.routing.learned import learn
from training.suites.routing.problem import FOLDS, Fold, folds_by_text, routing_problem
from training.utility_rule import best_plan

Floats = NDArray[np.float64]
MICRO = 1e6


@dataclass(frozen=True, slots=True)
class World:
    """n queries, P plans. Costs are micro-dollars."""

    plans: tuple[str, ...]
    quality: Floats = field(compare=False)  # (n, P) expected reward
    cost: Floats = field(compare=False)  # (n, P) expected
    reward: Floats = field(compare=False)  # (n, P) recorded, [0, 1]
    paid: NDArray[np.int64] = field(compare=False)  # (n, P) recorded, rounded up
    typical_quality: Floats = field(compare=False)  # (m, P) of other queries, as a bundle keeps them
    typical_cost: Floats = field(compare=False)  # (m, P)

    def __len__(self) -> int:
        return len(self.quality)

    def at_price(self, price: float) -> NDArray[np.int64]:
        """The plan of every query at a price (quality per dollar), (n,)."""
        return best_plan(self.quality, self.cost / MICRO, price)

    @property
    def prices(self) -> Floats:
        """0, and prices from where cost hardly matters to where nothing else does, rising."""
        spread = float(np.ptp(self.cost, axis=1).mean()) / MICRO
        return np.concatenate(([0.0], np.geomspace(1e-3, 1e3, 240) / spread)) if spread > 0 else np.zeros(1)


def world_of(recording: Recording, seed: int) -> World:
    """Of the test queries of one fold, another with each seed. Raises `NotEnoughData`, also where all is free."""
    world = _world_of(recording, seed)
    if not world.paid.any():
        raise NotEnoughData(
            f"budget needs answers that cost something; those of {recording.name} are free: write what its backends "
            "charge into its meta.json, $ per 1M tokens (price_in, price_out)"
        )
    return world


def _world_of(recording: Recording, seed: int) -> World:
    try:
        problem = allocation_problem(recording, seed)
    except NotEnoughData:
        return _alone(_fold(folds_by_text(routing_problem(recording, seed)), seed))
    known = know(problem, _fold(folds_by_text(problem.routing), seed))
    test, train, width = known.test, known.train, len(known.shapes)
    return World(
        tuple(shape.name for shape in known.shapes),
        known.plan_quality[test],
        known.plan_cost[test] * MICRO,
        known.played.reward[test][:, :width],
        _whole(known.played.cost[test][:, :width]),
        known.plan_quality[train],
        known.plan_cost[train] * MICRO,
    )


def _alone(fold: Fold) -> World:
    learned = learn(fold, fold.train)
    expected, problem = learned.estimates, fold.problem
    return World(
        problem.backends,
        expected.test_quality,
        expected.test_cost * MICRO,
        problem.reward[fold.test],
        _whole(problem.cost[fold.test]),
        expected.train_quality,
        expected.train_cost * MICRO,
    )


def _fold(folds: list[Fold], seed: int) -> Fold:
    if not folds:
        raise NotEnoughData("the queries cannot be split")
    return folds[seed % min(FOLDS, len(folds))]


def _whole(dollars: Floats) -> NDArray[np.int64]:
    return np.ceil(np.round(dollars * MICRO, 6)).astype(np.int64)

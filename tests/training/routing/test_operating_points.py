"""Which queries go to the dearer of two backends first: those that gain most, or that gain most for their money."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from training.suites.routing.operating_points import Estimates, decide
from training.suites.routing.problem import Fold

GAIN = np.tile([0.30, 0.25], 100)  # of the dearer backend: every second query gains a little less,
LONG = np.tile([3.0, 1.0], 100)  # and its answer is much shorter


def decided(cheap: float):
    """`decide` for 200 queries, of which all is known, where the cheaper backend costs `cheap` and the other 2."""
    count = len(GAIN)
    quality = np.stack([np.full(count, 0.5), 0.5 + GAIN], axis=1)
    cost = np.stack([np.full(count, cheap), LONG], axis=1)
    every = np.arange(count)
    problem = SimpleNamespace(backends=("cheap", "dear"), cost=cost, reward=quality, seed=0)
    fold = Fold(cast("Any", problem), 0, every, every)
    return decide(fold, Estimates(quality, cost, quality, cost))


def first_sent(found) -> set[float]:
    """The lengths of the first answers that are bought from the dearer backend."""
    some = [row == 1 for row in found.choice if 0 < np.mean(row == 1) <= 0.5]
    return set(LONG[min(some, key=lambda sent: sent.sum())].tolist())


def test_where_costs_are_near_money_is_looked_after():
    assert first_sent(decided(cheap=0.9)) == {1.0}


def test_where_costs_are_far_apart_calls_are():
    found = decided(cheap=0.01)
    assert first_sent(found) == {3.0}
    assert found.points[0] == "share=0.000"
    assert len(found.points) >= 41


def test_backends_that_cost_nothing_are_decided_too():
    found = decided(cheap=0.0)
    assert set(found.choice[0].tolist()) == {0}
    assert set(found.choice[-1].tolist()) == {1}

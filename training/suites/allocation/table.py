"""`table`: difficulty bin × budget → plan, fitted on averages (Snell et al. 2024, #163 and #435 of the methods).

The difficulty of a query is the expected reward of the cheapest backend, cut at absolute edges. In each bin every plan
has its average reward and cost over the training queries, shrunk towards its average over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import by_price, spaced, with_ends
from training.suites.routing.group_table import GroupTable
from training.utility_rule import best_plan

EDGES = np.linspace(0.1, 0.9, 9)


def table(known: Known) -> Mapping[str, Decided]:
    """The best plan of each bin at each price."""
    bins = np.digitize(known.quality[:, known.fold.cheapest], EDGES)
    train = bins[known.train]
    every = np.arange(len(EDGES) + 1)
    reward = GroupTable.of(train, known.mean_reward[known.train], len(every)).mean(every)
    cost = GroupTable.of(train, known.mean_cost[known.train], len(every)).mean(every)

    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = best_plan(reward, cost, price)[bins]
        return chosen, chosen

    family = by_price(known, [shape.name for shape in known.shapes], decide)
    return {"table": with_ends(known, spaced(known, [family]))}

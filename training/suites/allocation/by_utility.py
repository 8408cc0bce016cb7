"""The policy `utility` over some of the plans, at a range of prices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import Family, by_price
from training.utility_rule import best_plan


def by_utility(known: Known, plans: Sequence[int]) -> Family:
    """One setting per price; `plans` are indices into `Known.shapes`."""
    some = np.asarray(plans, dtype=np.int64)
    quality, cost = known.plan_quality[:, some], known.plan_cost[:, some]

    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = best_plan(quality, cost, price)
        return chosen, some[chosen]

    return by_price(known, [known.shapes[place].name for place in plans], decide)

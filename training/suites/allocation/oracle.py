"""`oracle`: knows what every plan will give; the bound that nobody can pass."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import by_price, spaced, with_ends
from training.utility_rule import best_plan


def oracle(known: Known) -> Mapping[str, Decided]:
    """The true rewards and costs of all that was played; of equals the cheaper."""
    reward, cost = known.played.reward, known.played.cost

    def decide(price: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = best_plan(reward, cost, price)
        return chosen, chosen

    family = by_price(known, [shape.name for shape in known.played.shapes], decide)
    return {"oracle": with_ends(known, spaced(known, [family]))}

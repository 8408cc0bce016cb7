"""`always:<backend>`: every query to one backend."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.routing.decided import Decided, single_plans
from training.suites.routing.problem import Fold


def always(fold: Fold) -> Mapping[str, Decided]:
    """One operating point for each backend."""
    plans = single_plans(fold.problem)
    return {
        f"always:{plan.name}": Decided(("always",), plans, np.full((1, len(fold.test)), place, np.int16))
        for place, plan in enumerate(plans)
    }

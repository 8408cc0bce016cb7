"""The vectorised rule is the live policy's, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from router.domain.choice import Forecast, Situation
from router.domain.plan import Plan, Stage
from router.policies.utility import Utility
from router.selectors.first import First
from router.stopping.never import Never
from training.utility_rule import best_plan


@pytest.mark.parametrize("price", [0.0, 3.0, 1e4])
def test_it_chooses_as_the_live_policy_does(price: float) -> None:
    rng = np.random.default_rng(7)
    quality, cost = rng.random((300, 5)), rng.random((300, 5))  # cost in dollars
    if price == 0:
        quality = np.round(quality, 1)  # ties, of which the cheaper is to be taken
    quality[:, 3], cost[:, 3] = quality[:, 1], cost[:, 1]  # equal in all: the earlier is to be taken
    plans = [Plan(f"p{place}", (Stage("b", Never(), First()),)) for place in range(5)]
    for row, chosen in enumerate(best_plan(quality, cost, price)):
        forecasts = tuple(
            Forecast(plan, float(quality[row, at]), float(cost[row, at]) * 1e6, 0.0)
            for at, plan in enumerate(plans)
        )
        situation = Situation(forecasts, {}, price, 0.0)
        assert list(Utility().probabilities(situation)).index(1.0) == chosen

"""The plan with the highest utility at the current price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.domain.choice import Situation
from router.policies import Policy
from router.policies.fixed import one_hot


@dataclass(frozen=True, slots=True)
class Utility(Policy):
    """argmax of U(a|x) = q(a|x) - lambda c(a|x) - mu l(a|x), the caller's weights of cost and latency in the prices.

    A quality target takes the place of the price: the rule at the price that reaches it on average at least cost, where
    that is known (`router.first_decision.quality_price`), else the cheapest plan that reaches it for this query. Plans
    whose quality is not known are left out; where none is known, the default plan. Fails for evaluation: it never
    explores, so what it does not choose is never learned about (use `softmax`).
    """

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One on the plan, zero elsewhere."""
        return one_hot(best(situation), len(situation.forecasts))


def best(situation: Situation) -> int:
    """Index of the forecast with the highest utility; the cheaper of equals, then the earlier."""
    known = [index for index, forecast in enumerate(situation.forecasts) if forecast.quality is not None]
    if not known:
        return situation.default
    forecasts = situation.forecasts
    if situation.min_quality is not None and situation.quality_price is not None:
        situation = replace(situation, price=situation.quality_price)
    elif situation.min_quality is not None:
        reached = [index for index in known if (forecasts[index].quality or 0.0) >= situation.min_quality]
        if reached:
            return min(reached, key=lambda index: (forecasts[index].cost, index))
        return max(known, key=lambda index: (forecasts[index].quality or 0.0, -forecasts[index].cost, -index))
    return max(known, key=lambda index: (situation.utility(forecasts[index]), -forecasts[index].cost, -index))

"""The plan that did best on queries of the same difficulty, at today's price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.domain.choice import Situation
from router.policies import Policy
from router.policies.fixed import one_hot
from router.policies.utility import best


@dataclass(frozen=True, slots=True)
class Table(Policy):
    """`utility` with a plan's mean reward in the query's difficulty bin (`table_quality/<plan>`) as its quality.

    The strategy table of Snell et al. (2024): difficulty × budget → plan, fitted offline, to be read by people, and
    what is left where the heads over plans are not trusted. Fails to tell queries of one bin apart: with a good
    predictor `utility` is better.
    """

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One on the plan, zero elsewhere."""
        forecasts = tuple(
            replace(one, quality=situation.signals.get(f"table_quality/{one.plan.name}"))
            for one in situation.forecasts
        )
        return one_hot(best(replace(situation, forecasts=forecasts)), len(forecasts))

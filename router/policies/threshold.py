"""Two plans and a threshold on one signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.domain.choice import Situation
from router.policies import Policy
from router.policies.fixed import one_hot


@dataclass(frozen=True, slots=True)
class Threshold(Policy):
    """`then` where `signal` >= `at_least`, else `otherwise`; the default plan where the signal or the plan is missing.

    The decision rule of Hybrid LLM (Ding et al. 2024) and RouteLLM (Ong et al. 2024). Fails when prices,
    budgets or the mix of traffic change: the threshold does not know of them.
    """

    signal: str = ""
    at_least: float = 0.5
    then: str = ""
    otherwise: str = ""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One on the plan, zero elsewhere."""
        names = [forecast.plan.name for forecast in situation.forecasts]
        value = situation.signals.get(self.signal)
        wanted = "" if value is None else self.then if value >= self.at_least else self.otherwise
        return one_hot(names.index(wanted) if wanted in names else situation.default, len(names))

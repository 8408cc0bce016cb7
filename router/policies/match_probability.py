"""The cheapest plan that is probably as good as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.domain.choice import Forecast, Situation
from router.policies import Policy
from router.policies.fixed import one_hot


@dataclass(frozen=True, slots=True)
class MatchProbability(Policy):
    """The rule of BEST-Route (Ding et al. 2025): the cheapest plan with P(as good as `reference`) >= `at_least`.

    P is `match/<plan>` where it was predicted, else min(1, 1 + q(plan) - q(reference)), which P is never above for
    rewards of 0 and 1 where the plan is not the better one. Plans of unknown quality are left out. Fails to weigh: a
    plan that is far cheaper and hardly less likely right is not taken, and it knows no price of latency.
    """

    at_least: float = 0.9  # probability, [0, 1]
    reference: str = ""  # plan; "": the one of the highest expected quality

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One on the plan, zero elsewhere."""
        forecasts = situation.forecasts
        known = [at for at, one in enumerate(forecasts) if one.quality is not None]
        if not known:
            return one_hot(situation.default, len(forecasts))
        named = [at for at in known if forecasts[at].plan.name == self.reference]
        best = named[0] if named else max(known, key=lambda at: (forecasts[at].quality or 0.0, -at))
        good = [at for at in known if at == best or match(situation, at, best) >= self.at_least]
        return one_hot(min(good, key=lambda at: (forecasts[at].cost, at)), len(forecasts))


def match(situation: Situation, at: int, best: int) -> float:
    """P(the forecast's answer is at least as good as that of the best one)."""
    one, other = situation.forecasts[at], situation.forecasts[best]
    said = situation.signals.get(f"match/{one.plan.name}")
    return min(1.0, 1.0 + _quality(one) - _quality(other)) if said is None else said


def _quality(forecast: Forecast) -> float:
    return forecast.quality or 0.0

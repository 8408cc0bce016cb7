"""Mostly the best plan, sometimes another: exploration with known probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from router.domain.choice import Situation
from router.errors import ConfigError
from router.policies import Policy
from router.policies.fixed import one_hot
from router.policies.utility import best


@dataclass(frozen=True, slots=True)
class Softmax(Policy):
    """p = (1 - explore) [best] + explore softmax(U / temperature), then none below `floor`.

    Boltzmann exploration mixed with the choice; every feasible plan keeps a probability that off-policy
    evaluation can use. Plans of unknown quality share the exploration equally. Fails to pay where traffic is
    tiny: `explore` is spent on plans that are worse, and says so in `explored`.
    """

    explore: float = 0.1  # share of the traffic, [0, 1]
    temperature: float = 0.1  # in units of quality, > 0
    floor: float = 0.01  # of every feasible plan's probability; plans x floor <= 1

    def __post_init__(self) -> None:
        if not 0 <= self.explore <= 1:
            raise ConfigError(f"softmax: explore must lie in [0, 1], got {self.explore}")
        if not self.temperature > 0:
            raise ConfigError(f"softmax: temperature must be positive, got {self.temperature}")
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"softmax: floor must lie in [0, 1], got {self.floor}")

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """The mixture; all at least `floor` (at most 1 / plans)."""
        count = len(situation.forecasts)
        chosen = best(situation)
        if situation.trained:
            utilities = [situation.utility(forecast) / self.temperature for forecast in situation.forecasts]
            top = max(utilities)
            weights = [exp(value - top) for value in utilities]
        else:
            weights = [1.0] * count
        total = sum(weights)
        floor = min(self.floor, 1.0 / count)
        spread = 1.0 - count * floor
        mixed = [
            (1.0 - self.explore) * hot + self.explore * weight / total
            for hot, weight in zip(one_hot(chosen, count), weights, strict=True)
        ]
        return [floor + spread * share for share in mixed]

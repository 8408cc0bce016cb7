"""Always the same plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.domain.choice import Situation
from router.policies import Policy


@dataclass(frozen=True, slots=True)
class Fixed(Policy):
    """`plan` where it is feasible, else the default plan. Fails by design: it learns nothing and adapts to nothing."""

    plan: str = ""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """One on the plan, zero elsewhere."""
        names = [forecast.plan.name for forecast in situation.forecasts]
        chosen = names.index(self.plan) if self.plan in names else situation.default
        return one_hot(chosen, len(names))


def one_hot(index: int, length: int) -> list[float]:
    """`length` zeros with a one at `index`."""
    return [1.0 if position == index else 0.0 for position in range(length)]

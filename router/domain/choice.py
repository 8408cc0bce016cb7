"""What a policy looks at and what it says: forecasts of the feasible plans, and a probability for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from predictors.observation import Signals
    from router.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one plan would give for one query."""

    plan: Plan
    quality: float | None  # expected reward in [0, 1]; None: nothing was learned about it
    cost: float  # expected micro-dollars
    latency_s: float  # expected seconds to the answer
    worst_cost: int = 0  # micro-dollars that it cannot exceed


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a policy may weigh: at least one feasible plan, in the order of the configuration."""

    forecasts: tuple[Forecast, ...]
    signals: Signals
    price: float  # shadow price lambda: quality per dollar, >= 0, the caller's cost weight applied
    latency_price: float  # quality per second beyond the target, >= 0
    min_quality: float | None = None  # the caller's target, [0, 1]
    default: int = 0  # index of the forecast to serve where nothing is known
    quality_price: float | None = None  # price at which `min_quality` is met on average; None: not known

    def utility(self, forecast: Forecast) -> float:
        """U(a|x) = q(a|x) - lambda c(a|x) - mu l(a|x); the quality must be known."""
        assert forecast.quality is not None  # noqa: S101 (for the type checker; `trained` says so)
        return forecast.quality - self.price * forecast.cost * 1e-6 - self.latency_price * forecast.latency_s

    @property
    def trained(self) -> bool:
        """Whether the quality of every feasible plan is known."""
        return all(forecast.quality is not None for forecast in self.forecasts)


@dataclass(frozen=True, slots=True)
class Choice:
    """The drawn plan and the whole distribution it was drawn from."""

    plan: Plan
    propensity: float  # of the drawn plan, (0, 1]
    probabilities: tuple[tuple[str, float], ...]  # (plan name, probability), sums to 1
    policy: str  # the policy's name, or `untrained`
    explored: bool  # another plan had a higher probability

"""What a plan would give for a query: expected quality, cost and latency, from signals and today's prices.

A plan of one sample follows from its backend's heads. A plan with a rule or several stages follows from its own heads
(`plan_quality`, `plan_samples`), fitted by running it over recorded outcomes; without them its quality is not known and
it is never preferred on a guess. Costs are always computed from token counts at the prices of now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from predictors.observation import Query, Signals
from router.domain.choice import Forecast
from router.domain.plan import Plan, Stage
from router.worst_case import Bound, output_tokens_bound, samples_bound, worst_cost

CHARS_PER_TOKEN = 4.0  # of a prompt, where nothing better is known
TOKENS_PER_MESSAGE = 4.0  # chat templates put about as many around each
UNKNOWN_OUTPUT_SHARE = 0.5  # of `max_tokens`, where no length was learned


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one backend is, until something is learned."""

    first_token_s: float = 0.2
    tokens_per_second: float = 50.0


@dataclass(frozen=True, slots=True)
class Forecaster:
    """Forecasts plans for a query."""

    bounds: Mapping[str, Bound]
    speeds: Mapping[str, Speed]

    def forecast(self, query: Query, plan: Plan, signals: Signals) -> Forecast:
        """Quality in [0, 1] or None, cost in micro-dollars, latency in seconds."""
        cost = latency = 0.0
        for index, stage in enumerate(plan.stages):
            samples = expected_samples(query, plan, index, signals)
            speed = self.speeds[stage.backend]
            tokens_out, sample_cost = self._sample(query, stage, signals)
            cost += samples * sample_cost
            rounds = samples / stage.width if samples > stage.width else min(1.0, samples)
            latency += rounds * (speed.first_token_s + tokens_out / speed.tokens_per_second)
        return Forecast(plan, quality(plan, signals), cost, latency, worst_cost(query, plan, self.bounds))

    def price_signals(self, query: Query, plan: Plan, signals: Signals, price: float) -> dict[str, float]:
        """What a rule that weighs quality against cost needs to know: the shadow price and what samples cost.

        `price`: quality per $; `sample_cost/<backend>`: expected micro-dollars of one sample. Empty for a plan that
        draws one sample per stage, unless a rule in it asks.
        """
        if all(
            stage.max_samples == 1 and not getattr(stage.stop, "weighs_cost", False) for stage in plan.stages
        ):
            return {}
        costs = {"price": price}
        for stage in plan.stages:
            costs[f"sample_cost/{stage.backend}"] = self._sample(query, stage, signals)[1]
        return costs

    def _sample(self, query: Query, stage: Stage, signals: Signals) -> tuple[float, float]:
        """Expected output tokens of one sample, and its expected cost in micro-dollars."""
        bound = self.bounds[stage.backend]
        cap = output_tokens_bound(query, stage, bound)
        tokens_out = min(cap, signals.get(f"tokens_out/{stage.backend}", UNKNOWN_OUTPUT_SHARE * cap))
        tokens_in = signals.get(f"tokens_in/{stage.backend}", prompt_tokens_guess(query))
        return tokens_out, tokens_in * bound.price.per_token_in + tokens_out * bound.price.per_token_out

    def first_text_s(self, query: Query, forecast: Forecast, streams: bool) -> float:
        """Expected seconds to the first committed text."""
        first = self.speeds[forecast.plan.stages[0].backend].first_token_s
        return first if streams and query.answers == 1 else forecast.latency_s


def quality(plan: Plan, signals: Signals) -> float | None:
    """Expected reward: the plan's own head, else for a single sample its backend's, else not known.

    A backend's is `reward/B`, which knows the gains; P(right) where a bundle says no more than that.
    """
    learned = signals.get(f"plan_quality/{plan.name}")
    if learned is not None or len(plan.stages) > 1 or plan.stages[0].max_samples > 1:
        return learned
    backend = plan.stages[0].backend
    return signals.get(f"reward/{backend}", signals.get(f"p_correct/{backend}"))


def expected_samples(query: Query, plan: Plan, stage: int, signals: Signals) -> float:
    """Samples that the stage is expected to draw; all it may where nothing was learned."""
    most = samples_bound(query, plan, stage)
    learned = signals.get(f"plan_samples/{plan.name}/{stage}")
    return float(most) if learned is None else min(max(learned, 0.0), float(most))


def prompt_tokens_guess(query: Query) -> float:
    """Tokens of the prompt, roughly."""
    chars = sum(len(part.text) for message in query.messages for part in message.parts)
    return chars / CHARS_PER_TOKEN + TOKENS_PER_MESSAGE * len(query.messages)

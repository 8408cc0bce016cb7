"""What a plan would give for a query: expected quality, cost and latency, from signals and today's prices.

A plan of one sample follows from its backend's heads. A plan with a rule or several stages follows from its own heads
(`plan_quality`, `plan_samples`), fitted by running it over recorded outcomes; without them its quality is not known and
it is never preferred on a guess. Costs are always computed from token counts at the prices of now.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from predictors.observation import Query, Signals
from router.costs.worst_case import (
    Bound,
    output_tokens_bound,
    query_size,
    samples_bound,
    worst_asking,
    worst_sample,
)
from router.domain.choice import Forecast
from router.domain.plan import Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import whole_micros

CHARS_PER_TOKEN = 4.0  # of a prompt, where nothing better is known
TOKENS_PER_MESSAGE = 4.0  # chat templates put about as many around each
# of what a selector's questions cost at most: a byte is a quarter of a token, texts are shorter
ASKED_SHARE = 0.15
UNKNOWN_OUTPUT_SHARE = 0.5  # of `max_tokens`, where no length was learned


@dataclass(frozen=True, slots=True)
class Forecaster:
    """Forecasts plans for a query."""

    bounds: Mapping[str, Bound]
    speeds: Mapping[str, Speed]

    def of(self, query: Query, signals: Signals) -> Forecasts:
        """For all plans of one query: what they have in common is worked out once."""
        return Forecasts(self, query, signals)

    def forecast(self, query: Query, plan: Plan, signals: Signals) -> Forecast:
        """Quality in [0, 1] or None, cost in micro-dollars, latency in seconds."""
        return Forecasts(self, query, signals).forecast(plan)

    def price_signals(
        self, query: Query, plan: Plan, signals: Signals, price: float
    ) -> tuple[dict[str, float], ...]:
        """What a rule that weighs quality against cost needs to know: the shadow price and what samples cost, by stage.

        `price`: quality per $; `sample_cost/<backend>`: expected micro-dollars of one sample, of the stage's backend as
        the stage draws it, of others as the nearest stage does that is still to come. Nothing for a plan that draws one
        sample per stage, unless a rule in it asks.
        """
        if all(
            stage.max_samples == 1 and not getattr(stage.stop, "weighs_cost", False) for stage in plan.stages
        ):
            return ()
        forecasts = Forecasts(self, query, signals)
        each = [
            (f"sample_cost/{stage.backend}", forecasts.sample(plan, index).cost)
            for index, stage in enumerate(plan.stages)
        ]
        return tuple(
            {"price": price, **dict(each[:index]), **dict(reversed(each[index:]))}
            for index in range(len(each))
        )

    def first_text_s(self, query: Query, forecast: Forecast, streams: bool) -> float:
        """Expected seconds to the first committed text."""
        first = self.speeds[forecast.plan.stages[0].backend].first_token_s
        return first if streams and query.answers == 1 else forecast.latency_s


class SampleForecast(NamedTuple):
    """One sample of a stage."""

    latency_s: float  # expected
    cost: float  # expected micro-dollars
    worst: float  # micro-dollars that it cannot exceed


class Forecasts:
    """Forecasts of one query. Stages of one backend, equally limited, prompted and looked at, share their samples'."""

    __slots__ = ("_forecaster", "_query", "_samples", "_signals", "_size", "_tokens_in")

    def __init__(self, forecaster: Forecaster, query: Query, signals: Signals) -> None:
        self._forecaster, self._query, self._signals = forecaster, query, signals
        self._size = query_size(query)
        self._tokens_in = prompt_tokens_guess(query)
        self._samples: dict[Hashable, SampleForecast] = {}  # by `Plan.draws`

    def forecast(self, plan: Plan) -> Forecast:
        """Quality in [0, 1] or None, cost in micro-dollars, latency in seconds."""
        query, signals = self._query, self._signals
        cost = latency = worst = 0.0
        for index, stage in enumerate(plan.stages):
            most = samples_bound(query, plan, index)
            samples = expected_samples(plan, index, most, signals)
            one = self.sample(plan, index)
            cost += samples * one.cost
            worst += most * one.worst
            rounds = samples / stage.width if samples > stage.width else min(1.0, samples)
            latency += rounds * one.latency_s
        for asks in plan.asks:
            most_asked = worst_asking(self._size, plan, asks, self._forecaster.bounds)[0]
            cost, worst = cost + ASKED_SHARE * most_asked, worst + most_asked
        return Forecast(plan, quality(plan, signals), cost, latency, whole_micros(worst))

    def sample(self, plan: Plan, index: int) -> SampleForecast:
        """One sample of the plan's stage `index`."""
        key = plan.draws[index]
        found = self._samples.get(key)
        if found is None:
            found = self._samples[key] = self._sample(plan.stages[index])
        return found

    def _sample(self, stage: Stage) -> SampleForecast:
        name, query, signals = stage.backend, self._query, self._signals
        bound, speed = self._forecaster.bounds[name], self._forecaster.speeds[name]
        cap = output_tokens_bound(query, stage, bound)
        tokens_out = min(cap, signals.get(f"tokens_out/{name}", UNKNOWN_OUTPUT_SHARE * cap))
        tokens_in = signals.get(f"tokens_in/{name}", self._tokens_in)
        return SampleForecast(
            speed.first_token_s + tokens_out / speed.tokens_per_second,
            tokens_in * bound.price.per_token_in + tokens_out * bound.price.per_token_out,
            worst_sample(query, self._size, stage, bound)[0],
        )


def quality(plan: Plan, signals: Signals) -> float | None:
    """Expected reward: the plan's own head, else for a single sample its backend's, else not known.

    A backend's is `reward/B`, which knows the gains; P(right) where a bundle says no more than that.
    """
    learned = signals.get(f"plan_quality/{plan.name}")
    if learned is not None or len(plan.stages) > 1 or plan.stages[0].max_samples > 1:
        return learned
    backend = plan.stages[0].backend
    return signals.get(f"reward/{backend}", signals.get(f"p_correct/{backend}"))


def expected_samples(plan: Plan, stage: int, most: int, signals: Signals) -> float:
    """Samples that the stage is expected to draw, of `most` at most; all of them where nothing was learned."""
    learned = signals.get(f"plan_samples/{plan.name}/{stage}")
    return float(most) if learned is None else min(max(learned, 0.0), float(most))


def prompt_tokens_guess(query: Query) -> float:
    """Tokens of the prompt, roughly."""
    chars = sum(len(part.text) for message in query.messages for part in message.parts)
    return chars / CHARS_PER_TOKEN + TOKENS_PER_MESSAGE * len(query.messages)

"""Which plans a query may get at all; the others are removed before the draw, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from predictors.observation import PartKind, Query
from router.backend_switch import BackendSwitch
from router.backends import Capabilities
from router.domain.choice import Forecast
from router.domain.plan import Commit
from router.forecast import Forecaster, prompt_tokens_guess
from router.worst_case import output_tokens_bound

OVER_BUDGET = "the budget does not cover it"


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a query from outside of it."""

    budget_left: int | None = None  # micro-dollars; None: no budget is set
    time_left_s: float | None = None  # until the caller's deadline
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Feasibility:
    """Says why a plan cannot be served to a query."""

    capabilities: Mapping[str, Capabilities]
    forecaster: Forecaster
    switch: BackendSwitch = field(default_factory=BackendSwitch)

    def objection(self, query: Query, forecast: Forecast, limits: Limits) -> str | None:
        """What forbids the plan, in words; None where nothing does."""
        wants = query.constraints
        if wants.plan and forecast.plan.name != wants.plan:
            return f"the caller wants plan {wants.plan!r}"
        checks = (
            self._backends(query, forecast),
            self._room(query, forecast),
            money(query, forecast, limits),
        )
        return next((why for why in checks if why), None)

    def _backends(self, query: Query, forecast: Forecast) -> str | None:
        wants = query.constraints
        for name in forecast.plan.backends:
            if (
                wants.allowed_backends and name not in wants.allowed_backends
            ) or name in wants.denied_backends:
                return f"the caller does not allow backend {name!r}"
            closed = self.switch.objection(name)
            if closed:
                return closed
            missing = missing_capability(query, self.capabilities[name])
            if missing:
                return f"backend {name!r} {missing}"
        return None

    def _room(self, query: Query, forecast: Forecast) -> str | None:
        for stage in forecast.plan.stages:
            room = self.capabilities[stage.backend].context_tokens
            if room is None:
                continue
            # The prompt is guessed low here: the backend has the last word, and its refusal names the true length.
            if prompt_tokens_guess(query) / 2 > room:
                return f"the prompt is longer than the {room} tokens of backend {stage.backend!r}"
            if output_tokens_bound(query, stage, self.forecaster.bounds[stage.backend]) > room:
                return f"max_tokens is above the {room} tokens of backend {stage.backend!r}"
        return None

    def too_slow(self, query: Query, forecast: Forecast, limits: Limits) -> str | None:
        """Why the plan is expected to come too late; None where it is not, or nothing was learned about lengths."""
        if limits.time_left_s is not None and forecast.latency_s > limits.time_left_s:
            return f"it is expected to take {forecast.latency_s:.2f} s, {limits.time_left_s:.2f} s are left"
        wanted = query.constraints.max_ttft_s
        if wanted is None:
            return None
        streams = limits.stream and forecast.plan.commit is Commit.FIRST_TOKEN
        first = self.forecaster.first_text_s(query, forecast, streams)
        return (
            f"its first text is expected after {first:.2f} s, max_ttft is {wanted:.2f} s"
            if first > wanted
            else None
        )


def money(query: Query, forecast: Forecast, limits: Limits) -> str | None:
    """Why the plan may cost too much; None where it cannot."""
    most = query.constraints.max_cost_micros
    if most is not None and forecast.worst_cost > most:
        return f"its worst case of {forecast.worst_cost} micro-dollars is above max_cost = {most}"
    if limits.budget_left is not None and forecast.worst_cost > limits.budget_left:
        return f"{OVER_BUDGET}: its worst case is {forecast.worst_cost} micro-dollars, {limits.budget_left} are left"
    return None


def missing_capability(query: Query, has: Capabilities) -> str:
    """What the query needs and the backend lacks, in words; empty where nothing is missing."""
    if query.tools and not has.tools:
        return "takes no tools"
    if query.response_format and not has.response_format:
        return "takes no response_format"
    if len(query.messages) > 1 and not has.multi_turn:
        return "takes a single message"
    if not has.images:
        for message in query.messages:
            if any(part.kind is not PartKind.TEXT for part in message.parts):
                return "takes text only"
    return ""


def within_risk(forecasts: list[Forecast], max_risk: float | None) -> list[Forecast]:
    """Forecasts whose expected loss against the best one is at most `max_risk`; unknown quality is let through.

    The loss is the difference of expected rewards: the share of such queries that would be wrong and need not be.
    """
    known = [forecast.quality for forecast in forecasts if forecast.quality is not None]
    if max_risk is None or not known:
        return forecasts
    least = max(known) - max_risk
    return [forecast for forecast in forecasts if forecast.quality is None or forecast.quality >= least]

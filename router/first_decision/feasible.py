"""Which plans a query may get at all; the others are removed before the draw, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from predictors.observation import PartKind, Query, Signals
from router.backends import Capabilities
from router.costs.worst_case import output_tokens_bound
from router.domain.choice import Forecast
from router.domain.plan import Commit, Plan, Stage
from router.first_decision.forecast import Forecaster, prompt_tokens_guess
from router.switches.backend_switch import BackendSwitch

OVER_BUDGET = "the budget does not cover it"
LATE, LATE_TEXT = "it is expected to take", "its first text is expected after"


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

    def of(self, query: Query, limits: Limits) -> Objections:
        """What forbids plans to one query: what is about a backend is found out once, for all plans that use it."""
        return Objections(self, query, limits)

    def too_slow(self, query: Query, forecast: Forecast, limits: Limits, signals: Signals) -> str | None:
        """Why the plan is expected to come too late; None where it is not.

        The caller's deadline is held against lengths that were learned alone: a guess must not choose another plan.
        """
        left_s = limits.time_left_s
        if (
            left_s is not None
            and forecast.latency_s > left_s
            and all(f"tokens_out/{name}" in signals for name in forecast.plan.backends)
        ):
            return f"{LATE} {forecast.latency_s:.2f} s, {left_s:.2f} s are left"
        wanted = query.constraints.max_ttft_s
        if wanted is None:
            return None
        streams = limits.stream and forecast.plan.commit is Commit.FIRST_TOKEN
        first = self.forecaster.first_text_s(query, forecast, streams)
        return f"{LATE_TEXT} {first:.2f} s, max_ttft is {wanted:.2f} s" if first > wanted else None


class Objections:
    """Says of every plan why one query cannot get it."""

    __slots__ = ("_backends", "_feasibility", "_limits", "_query", "_rooms")

    def __init__(self, feasibility: Feasibility, query: Query, limits: Limits) -> None:
        self._feasibility, self._query, self._limits = feasibility, query, limits
        self._backends: dict[str, str] = {}
        self._rooms: dict[tuple[str, int | None], str] = {}

    def unwanted(self, plan: Plan) -> str:
        """That the caller wants another plan, in words; empty where it does not."""
        wanted = self._query.constraints.plan
        return f"the caller wants plan {wanted!r}" if wanted and plan.name != wanted else ""

    def objection(self, forecast: Forecast) -> str:
        """What forbids a plan that the caller may want, in words; empty where nothing does."""
        plan = forecast.plan
        for stage in plan.stages:
            why = self._backends.get(stage.backend)
            if why is None:
                why = self._backends[stage.backend] = self._of_backend(stage.backend)
            if why:
                return why
        for stage in plan.stages:
            key = (stage.backend, stage.sampling.max_tokens)
            why = self._rooms.get(key)
            if why is None:
                why = self._rooms[key] = self._of_room(stage)
            if why:
                return why
        return money(self._query, forecast, self._limits) or ""

    def _of_backend(self, name: str) -> str:
        wants, feasibility = self._query.constraints, self._feasibility
        if wants.allowed_backends and name not in wants.allowed_backends:
            return f"the caller does not allow backend {name!r}"
        for one in feasibility.switch.asked(name):
            if one in wants.denied_backends:
                return f"the caller does not allow backend {one!r}"
        closed = feasibility.switch.objection(name)
        if closed:
            return closed
        missing = missing_capability(self._query, feasibility.capabilities[name])
        return f"backend {name!r} {missing}" if missing else ""

    def _of_room(self, stage: Stage) -> str:
        room = self._feasibility.capabilities[stage.backend].context_tokens
        if room is None:
            return ""
        # The prompt is guessed low here: the backend has the last word, and its refusal names the true length.
        if prompt_tokens_guess(self._query) / 2 > room:
            return f"the prompt is longer than the {room} tokens of backend {stage.backend!r}"
        bound = self._feasibility.forecaster.bounds[stage.backend]
        if output_tokens_bound(self._query, stage, bound) > room:
            return f"max_tokens is above the {room} tokens of backend {stage.backend!r}"
        return ""


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
    if query.token_logprobs and not has.token_logprobs:
        return "gives no logprobs"
    for key in query.extra:
        if key not in has.extra:
            return f"does not pass {key!r} on"
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

"""Which plans may take the place of one whose backend failed, or for which the store had too little money.

A stage whose backend has another server that works may begin once more, there: it is what was drawn, so it comes
first, before the plan's next stage and before other plans, also for callers who want nothing else. Only once per query:
what makes one server fail may be the query.
"""

from __future__ import annotations

from predictors.observation import OnUnavailable
from router.allocation.progress import Progress
from router.backends import Breakers
from router.costs.worst_case import used_amount
from router.domain.choice import Forecast
from router.domain.plan import Plan


def has_another_server(progress: Progress, backend: object, *, last: bool) -> bool:
    """Whether the running stage may begin once more where this backend failed: it has another server that works.

    Not where text was committed, nor where the last stage has samples to select from. True once per query.
    """
    committed = progress.streams and progress.first_text_s is not None
    enough = last and progress.finished(progress.stage)
    if progress.began_again or committed or enough or not isinstance(backend, Breakers):
        return False
    working, resting = backend.urls()
    progress.began_again = working > 0 and working + resting > 1
    return progress.began_again


def within_max_cost(progress: Progress, worst_cost: int) -> bool:
    """Whether the caller's `max_cost` has so much left (micro-dollars) beside what was used."""
    most = progress.query.constraints.max_cost_micros
    return most is None or used_amount(progress.meter.by_backend, progress.prices).micros + worst_cost <= most


def those_left(progress: Progress) -> list[Plan]:
    """Other feasible plans that need none of the failed backends, within what the caller's `max_cost` has left.

    The best first, by utility where quality is known, else as configured.
    """

    def utility(forecast: Forecast) -> float:
        return (forecast.quality or 0.0) - progress.chosen.price * forecast.cost * 1e-6

    left = [
        forecast
        for forecast in progress.chosen.forecasts
        if forecast.plan is not progress.plan
        and not progress.failed_backends.intersection(forecast.plan.backends)
        and within_max_cost(progress, forecast.worst_cost)
    ]
    return [forecast.plan for forecast in sorted(left, key=utility, reverse=True)]


def affordable(progress: Progress, left: int | None) -> list[Plan]:
    """Plans in the place of one that the store refused, by the money (micro-dollars) that is left: the best first."""
    if progress.query.constraints.on_unavailable is OnUnavailable.FAIL:
        return []
    worst = {forecast.plan.name: forecast.worst_cost for forecast in progress.chosen.forecasts}
    refused = worst.get(progress.plan.name, 0)
    return [
        plan
        for plan in those_left(progress)
        if worst[plan.name] < refused and (left is None or worst[plan.name] <= left)
    ]

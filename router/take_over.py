"""Which plans may take the place of one whose backend failed, or for which the store had too little money.

A plan whose backend has another server that works may begin once more, there: it is what was drawn, so it comes first,
also for callers who want nothing else. Only once per query: what makes one server fail may be the query.
"""

from __future__ import annotations

from predictors.observation import OnUnavailable
from router.backends import Breakers
from router.domain.choice import Forecast
from router.domain.plan import Plan
from router.progress import Progress
from router.worst_case import used_amount


def begins_again(progress: Progress, backend: object) -> bool:
    """Whether the plan may begin once more where this backend failed: it has another server that works.

    True once per query.
    """
    if progress.began_again or not isinstance(backend, Breakers):
        return False
    working, resting = backend.urls()
    progress.began_again = working > 0 and working + resting > 1
    return progress.began_again


def those_left(progress: Progress) -> list[Plan]:
    """Feasible plans that need none of the failed backends, within what the caller's `max_cost` has left.

    The running one first, then the best, by utility where quality is known, else as configured.
    """

    def worth(forecast: Forecast) -> tuple[bool, float]:
        utility = (forecast.quality or 0.0) - progress.chosen.price * forecast.cost * 1e-6
        return forecast.plan is progress.plan, utility

    most = progress.query.constraints.max_cost_micros
    used = used_amount(progress.meter.by_backend, progress.prices).micros
    left = [
        forecast
        for forecast in progress.chosen.forecasts
        if not progress.failed_backends.intersection(forecast.plan.backends)
        and (most is None or used + forecast.worst_cost <= most)
    ]
    return [forecast.plan for forecast in sorted(left, key=worth, reverse=True)]


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

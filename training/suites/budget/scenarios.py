"""When queries come, how long they take, and what happens to the replicas that serve them. One window each.

`steady`: at an even rate; `diurnal`: a day with a night, its shape learned from the day before; `bursty`: two thirds
come in bursts of a hundredth of the window; `drifting`: over a day from the queries that compute helps least to those
it helps most, as on the day before, which the bundle was fitted on; the same window by a bundle that knows of no day
(`drifting:first_day`), and after a day that drifted the other way (`drifting:reversed`); `replicas8`: eight replicas
(also diurnal and bursty); `outage`: the store away, replicas killed; `lowered`: a budget cut in the middle;
`heavy_tail`: 64 at once, whose worst case is 20 times their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from router.pricing.hours import Typical
from training.suites.budget.day_before import drifting_rows, typical_at_any_time, typical_of_a_day
from training.suites.budget.world import World

Floats = NDArray[np.float64]
Rng = np.random.Generator
HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times are shares of the window."""

    times: Callable[[Rng, int], Floats]  # (rng, n) -> n sorted times in [0, 1)
    queries: int = 6000
    window: str = "hour"  # of the calendar
    at_once: float = 4.0  # queries in flight, mean
    worst: float = 4.0  # worst case over mean cost, but never below what was recorded
    replicas: int = 1
    # of the way from the cheapest plans' cost to that of the best, for all queries: the budget
    share: float = 0.35
    drifts: bool = False
    day_before: Literal["", "alike", "reversed"] = ""  # that the bundle learned from; none: from recordings
    as_in: str = ""  # the scenario whose queries these are; none: its own
    away: tuple[float, float] = (1.0, 1.0)  # when the store cannot be reached
    kills: tuple[float, ...] = ()  # each takes a replica, another comes in its place
    lowered: tuple[float, float] | None = None  # when, and what is left of the limit

    @property
    def window_s(self) -> float:
        """Its length."""
        return DAY_S if self.window == "day" else HOUR_S


@dataclass(frozen=True, slots=True)
class Traffic:
    """The queries of one window: times in seconds, rows of the world, seconds that each takes."""

    at: Floats = field(compare=False)
    row: NDArray[np.int64] = field(compare=False)
    takes: Floats = field(compare=False)
    typical: Typical  # queries of the bundle


def even(rng: Rng, n: int) -> Floats:
    """At a constant rate."""
    return np.sort(rng.random(n))


def day_and_night(rng: Rng, n: int) -> Floats:
    """The rate of the busiest hour is nine times that of the quietest."""
    return np.sort(_thinned(rng, n, lambda at: (1 - 0.8 * np.cos(2 * np.pi * at)) / 1.8))


def bursts(rng: Rng, n: int) -> Floats:
    """A third evenly; the rest in some 25 bursts at any time."""
    begins = np.sort(rng.random(max(3, int(rng.poisson(25)))))
    weight = rng.dirichlet(np.full(len(begins), 3.0))
    inside = rng.choice(begins, size=n - n // 3, p=weight) + 0.01 * rng.random(n - n // 3)
    return np.sort(np.concatenate([rng.random(n // 3), inside % 1.0]))


SCENARIOS = {
    "steady": Scenario(even),
    "diurnal": Scenario(day_and_night, window="day", day_before="alike"),
    "bursty": Scenario(bursts),
    "drifting": Scenario(even, window="day", drifts=True, day_before="alike"),
    "drifting:first_day": Scenario(even, window="day", drifts=True, as_in="drifting"),
    "drifting:reversed": Scenario(
        even, window="day", drifts=True, day_before="reversed", as_in="drifting"
    ),
    "replicas8": Scenario(even, replicas=8, queries=8000),
    "replicas8:diurnal": Scenario(
        day_and_night, window="day", day_before="alike", replicas=8, queries=8000
    ),
    "replicas8:bursty": Scenario(bursts, replicas=8, queries=8000),
    "outage": Scenario(even, replicas=4, away=(0.4, 0.55), kills=(0.3, 0.6)),
    "lowered": Scenario(even, lowered=(0.5, 0.7)),
    "heavy_tail": Scenario(even, queries=8000, at_once=64.0, worst=20.0),
}  # fmt: skip


def traffic_of(scenario: Scenario, world: World, rng: Rng, scale: float = 1.0) -> Traffic:
    """Draw a window's queries, with replacement; `scale` > 0: so many times fewer or more."""
    n = max(50, round(scenario.queries * scale))
    at = scenario.times(rng, n)
    mean_s = scenario.at_once / n * scenario.window_s
    if scenario.drifts:
        row = drifting_rows(world.quality, world.cost, at, rng)
    else:
        row = rng.integers(len(world), size=n)
    takes = rng.exponential(mean_s, n)
    if not scenario.day_before:
        return Traffic(at * scenario.window_s, row, takes, typical_at_any_time(world))
    before, backwards = scenario.times(rng, n), scenario.day_before == "reversed"
    typical = typical_of_a_day(world, before, rng, drifts=scenario.drifts, backwards=backwards)
    return Traffic(at * scenario.window_s, row, takes, typical)


def _thinned(rng: Rng, n: int, rate: Callable[[Floats], Floats]) -> Floats:
    """n draws of a density in proportion to `rate`, in [0, 1]."""
    found = np.empty(0)
    while len(found) < n:
        tried = rng.random(2 * n)
        found = np.concatenate([found, tried[rng.random(2 * n) < rate(tried)]])
    return found[:n]

"""How much one tenant may ask of this process: queries a second, and at a time, so that others have theirs.

A bucket per tenant, refilled at its rate and `BURST_S` seconds deep; what is above is refused before any work is done,
with the time after which to come again. Batches are worked off at their own pace and are not counted. Every worker and
every replica counts for itself: what a tenant gets of all of them is at most so many times as much.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Protocol

from predictors.observation import Query
from router.admission.retry_delay import RetryDelay
from router.allocation.progress import Progress
from router.allocator import Decided
from router.config_access import LimitsConfig
from router.domain.events import Event
from router.domain.options import Options
from router.errors import Overloaded
from router.first_decision.choose import Chosen

BURST_S = 2.0
MOST_TENANTS = 10_000  # buckets; the one that was used least recently is forgotten, and full again


class TenantLimits:
    """Counts what tenants ask. One event loop."""

    def __init__(self, config: LimitsConfig, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._config, self._monotonic_s = config, monotonic_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # left, at
        self._running: dict[str, int] = {}
        self._retry = RetryDelay()
        own = any(one.queries_per_s or one.in_flight for one in config.tenants.values())
        self.on = bool(config.queries_per_s or config.in_flight or own)

    @contextmanager
    def enter(self, tenant: str) -> Iterator[None]:
        """Let one query of the tenant run. Raises `Overloaded`."""
        if not self.on:
            yield
            return
        self.take(tenant, running=True)
        began_s = self._monotonic_s()
        self._running[tenant] = self._running.get(tenant, 0) + 1
        try:
            yield
        finally:
            self._retry.note(self._monotonic_s() - began_s)
            left = self._running[tenant] - 1
            if left:
                self._running[tenant] = left
            else:
                del self._running[tenant]

    def take(self, tenant: str, *, running: bool = False) -> None:
        """Count one query; `running`: it stays for a while. Raises `Overloaded`."""
        own, config = self._config.tenants.get(tenant), self._config
        most = config.in_flight if own is None or own.in_flight is None else own.in_flight
        per_s = config.queries_per_s if own is None or own.queries_per_s is None else own.queries_per_s
        if running and most and self._running.get(tenant, 0) >= most:
            raise Overloaded(
                f"{most} queries of this tenant are running, and no more may: limits.in_flight",
                self._retry.retry_after_s,
            )
        if not per_s:
            return
        deep, now = max(1.0, BURST_S * per_s), self._monotonic_s()
        left, at = self._buckets.get(tenant, (deep, now))
        left = min(deep, left + (now - at) * per_s)
        if left < 1.0:
            raise Overloaded(
                f"this tenant asks more than {per_s:g} queries a second: limits.queries_per_s",
                (1.0 - left) / per_s,
            )
        self._buckets[tenant] = left - 1.0, now
        self._buckets.move_to_end(tenant)
        if len(self._buckets) > MOST_TENANTS:
            self._buckets.popitem(last=False)


class Answers(Protocol):
    """The allocator, or what stands before it."""

    def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """Started, what happens, Done."""
        ...

    async def decide(
        self, query: Query, options: Options, hold: Callable[[Progress], int] | None = None
    ) -> Decided:
        """The first decision alone, logged; `hold` takes over what is reserved."""
        ...

    def estimate(self, query: Query, options: Options) -> Chosen:
        """What would be chosen; nothing is logged."""
        ...


@dataclass(frozen=True, slots=True)
class Limited:
    """The allocator for those who answer callers, within their tenants' limits."""

    answers: Answers
    limits: TenantLimits

    async def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """As `Allocator.run`. Raises `Overloaded` before anything is done."""
        with self.limits.enter(query.tenant):
            async with aclosing(self.answers.run(query, options)) as events:
                async for event in events:
                    yield event

    async def decide(
        self, query: Query, options: Options, hold: Callable[[Progress], int] | None = None
    ) -> Decided:
        """As `Allocator.decide`. Raises `Overloaded`."""
        self.limits.take(query.tenant)
        return await self.answers.decide(query, options, hold)

    def estimate(self, query: Query, options: Options) -> Chosen:
        """As `Allocator.estimate`. Raises `Overloaded`."""
        self.limits.take(query.tenant)
        return self.answers.estimate(query, options)


def limited(answers: Answers, limits: TenantLimits) -> Answers:
    """`answers` within the limits; itself where there are none."""
    return Limited(answers, limits) if limits.on else answers

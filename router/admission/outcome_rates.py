"""How many outcomes a second one tenant may report: nobody's reports take the service from the others.

A bucket per tenant, refilled at the rate, `BURST_S` seconds deep. What is above waits: a stream is read more slowly,
a single report is refused with the time after which to come again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BURST_S = 2.0
MOST_TENANTS = 10_000  # buckets; the one that was used least recently is forgotten, and full again


@dataclass(slots=True)
class OutcomeRates:
    """Used by the event loop."""

    per_s: float  # of each tenant
    monotonic_s: Callable[[], float]
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # left, at

    def take(self, counts: Mapping[str, int]) -> float:
        """Take outcomes of tenants; how many seconds to wait before the next ones are, 0: none."""
        return max((self._take(tenant, count) for tenant, count in counts.items()), default=0.0)

    def wait_s(self, tenant: str) -> float:
        """How long the tenant has to wait before it may report one more; takes it where that is 0."""
        left = self._left(tenant)
        if left < 1.0:
            return (1.0 - left) / self.per_s
        self._take(tenant, 1)
        return 0.0

    def _left(self, tenant: str) -> float:
        most = max(1.0, BURST_S * self.per_s)
        left, at = self._buckets.get(tenant, (most, self.monotonic_s()))
        return min(most, left + (self.monotonic_s() - at) * self.per_s)

    def _take(self, tenant: str, count: int) -> float:
        left = self._left(tenant) - count
        self._buckets[tenant] = left, self.monotonic_s()
        self._buckets.move_to_end(tenant)
        if len(self._buckets) > MOST_TENANTS:
            self._buckets.popitem(last=False)
        return max(0.0, -left / self.per_s)

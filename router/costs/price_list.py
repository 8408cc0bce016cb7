"""What every backend charges, when: the prices of the configuration and those that begin on a later date."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from router.config import Config
from router.costs.backend_terms import bounds_of, price_dates, prices_of
from router.costs.worst_case import Bound
from router.domain.usage import Price


class PriceList:
    """Prices by time, seconds since the epoch."""

    def __init__(self, config: Config) -> None:
        self._config, self._dates = config, price_dates(config)

    def version(self, at: float) -> str:
        """The date from which the prices of a time hold; "" before any date."""
        number = bisect.bisect_right(self._dates, at)
        return datetime.fromtimestamp(self._dates[number - 1], UTC).isoformat() if number else ""

    def next_after(self, at: float) -> float:
        """When they change next; infinite where they do not."""
        number = bisect.bisect_right(self._dates, at)
        return self._dates[number] if number < len(self._dates) else math.inf

    def prices(self, at: float) -> Mapping[str, Price]:
        """By backend."""
        return prices_of(self._config, at)

    def bounds(self, at: float) -> Mapping[str, Bound]:
        """By backend: what one sample can cost at most."""
        return bounds_of(self._config, at)

    @property
    def changes(self) -> bool:
        """Whether there are any dates."""
        return bool(self._dates)

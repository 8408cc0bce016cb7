"""What a refused query is told to wait: as long as queries took of late."""

from __future__ import annotations

SHORTEST_RETRY_S, LONGEST_RETRY_S = 0.2, 10.0  # the client adds jitter
FIRST_RETRY_S = 1.0  # until a query has ended
MEMORY = 0.95  # of the mean time that a query takes, from query to query


class RetryDelay:
    """An exponentially weighted mean of the times that queries took."""

    def __init__(self) -> None:
        self._took_s: float | None = None

    def note(self, took_s: float) -> None:
        """A query has ended."""
        known_s = took_s if self._took_s is None else self._took_s
        self._took_s = MEMORY * known_s + (1 - MEMORY) * took_s

    @property
    def retry_after_s(self) -> float:
        """When a place is likely to be free: after as long as a query takes."""
        if self._took_s is None:
            return FIRST_RETRY_S
        return min(LONGEST_RETRY_S, max(SHORTEST_RETRY_S, self._took_s))

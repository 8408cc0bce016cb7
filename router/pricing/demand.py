"""How many queries are to come: their rate so far, the shape of a day where it is known, and how much counts scatter.

The rate is a decaying average over half a window, so that a burst is part of an average and not a new rate. Scatter is
the variance of counts in slices of a window over their mean (1 for independent arrivals, the size of a burst for
bursts). Fails where traffic changes its level at once: it is believed within about half a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

HOURS = 24
HOUR_S = 3600.0
EVEN = 10.0  # queries per hour that are added to what was logged
MEMORY = 0.5  # of a window
SLICES = 64  # of a window, whose counts are compared
LEAST = 1 / 500  # of a window must have passed before a rate is believed
BELIEF = 8.0  # slices of independent arrivals that are assumed before any was seen


class Profile:
    """Share of a day's queries in each hour (UTC), relative to an even day."""

    def __init__(self, shares: tuple[float, ...] = ()) -> None:
        total = math.fsum(shares)
        even = not shares or total <= 0
        self.relative = None if even else tuple(share * len(shares) / total for share in shares)

    def between(self, start: float, end: float) -> float:
        """Seconds from `start` to `end` (since the epoch), each counted by how busy its hour is."""
        if self.relative is None:
            return end - start
        return self._until(end) - self._until(start)

    def by_hour(self, start: float, end: float) -> list[float]:
        """`between`, of each hour of the day (UTC) by itself: 24 numbers."""
        days, rest = divmod(max(0.0, end - start), HOURS * HOUR_S)
        found, at, end = [days * HOUR_S] * HOURS, start, start + rest
        while at < end:
            hour = int(at // HOUR_S)
            until = min(end, (hour + 1) * HOUR_S)
            found[hour % HOURS] += until - at
            at = until
        if self.relative is None:
            return found
        return [seconds * busy for seconds, busy in zip(found, self.relative, strict=True)]

    def _until(self, at: float) -> float:
        assert self.relative is not None  # noqa: S101 (for the type checker: `between` asks)
        day, rest = divmod(at, HOURS * HOUR_S)
        hour, inside = divmod(rest, HOUR_S)
        whole = math.fsum(self.relative[: int(hour)]) * HOUR_S + self.relative[int(hour) % HOURS] * inside
        return day * HOURS * HOUR_S + whole


def hourly_shares(times: Iterable[float]) -> tuple[float, ...]:
    """The share of each UTC hour among times (seconds since the epoch), 24 numbers that add up to 1.

    `EVEN` queries per hour are added, so that an hour in which nothing was logged is not expected to stay empty.
    """
    counts = [EVEN] * HOURS
    for at in times:
        counts[int(at // HOUR_S) % HOURS] += 1
    total = math.fsum(counts)
    return tuple(count / total for count in counts)


class Demand:
    """Queries of one account. Times are seconds since the epoch, not falling."""

    def __init__(self, window_s: float, profile: Profile, now: float) -> None:
        self._window_s, self.profile = window_s, profile
        self._at = self._slice_at = now
        self._new = 0  # since `_at`
        self._count = self._busy = 0.0  # decayed: queries, and busy seconds in which they came
        self._slice = 0  # in the slice that began at `_slice_at`
        self._scatter, self._slices = BELIEF, BELIEF  # decayed sums

    def note(self) -> None:
        """A query has come."""
        self._new += 1

    def advance(self, now: float) -> None:
        """Take in what has come by now."""
        passed = now - self._at
        if passed <= 0:
            return
        keep = math.exp(-passed / (MEMORY * self._window_s))
        self._count = self._count * keep + self._new
        self._busy = self._busy * keep + self.profile.between(self._at, now)
        self._slice += self._new
        self._at, self._new = now, 0
        if now - self._slice_at >= self._window_s / SLICES:
            self._close_slice(now)

    def ahead(self, seconds: float) -> tuple[float, float]:
        """Queries in the next seconds: their expected number and its variance."""
        expected = self._rate * max(0.0, self.profile.between(self._at, self._at + seconds))
        return expected, expected * max(1.0, self._scatter / self._slices)

    @property
    def _rate(self) -> float:
        return self._count / max(self._busy, LEAST * self._window_s)

    def _close_slice(self, now: float) -> None:
        expected = self._rate * self.profile.between(self._slice_at, now)
        if expected > 0:
            keep = 1 - 1 / SLICES
            self._scatter = self._scatter * keep + (self._slice - expected) ** 2 / expected
            self._slices = self._slices * keep + 1
        self._slice, self._slice_at = 0, now

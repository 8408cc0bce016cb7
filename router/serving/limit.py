"""How many queries may run at a time: as many as configured, fewer while the event loop is late.

A replica that has more to do than its processor gives answers everybody late, its probes too. What it is late by is
seen directly: a timer that fires `lag` seconds after its time. Additive increase, multiplicative decrease (Chiu & Jain
1989) on it, from what really runs. How long a backend takes says nothing here: long answers are not overload.
When it fails: a processor that others use up looks the same, and fewer queries are let in then too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TICK_S = 0.1
LATE_S, EARLY_S = 0.1, 0.03  # mean lag above which the limit falls, and below which it rises
MEMORY = 0.7  # of the mean, from tick to tick
FALL, RISE = 0.8, 0.02  # per tick: to so much of what runs, by so much of the most
LEAST = 16  # queries; a limit that was configured lower stays


class Limit:
    """Between `least` and `most`. `watch` it on the event loop that does the work."""

    def __init__(self, most: int) -> None:
        self.most, self.least = most, min(most, LEAST)
        self.lag_s = 0.0  # mean
        self._now = float(most)

    @property
    def now(self) -> int:
        """Queries that may run."""
        return int(self._now)

    def seen(self, lag_s: float, running: int) -> None:
        """A tick came so late while so many queries ran."""
        self.lag_s = MEMORY * self.lag_s + (1 - MEMORY) * lag_s
        if self.lag_s > LATE_S:
            self._now = max(self.least, FALL * min(self._now, running))
        elif self.lag_s < EARLY_S:
            self._now = min(self.most, self._now + max(1.0, RISE * self.most))

    async def watch(self, running: Callable[[], int]) -> None:
        """For ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + TICK_S
            await asyncio.sleep(TICK_S)
            self.seen(clock() - due, running())

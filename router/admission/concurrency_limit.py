"""How many queries may run at a time: as many as configured, fewer while the event loop is late.

A replica that has more to do than its processor gives answers everybody late, its probes too. What it is late by is
seen directly: a timer that fires `lag` seconds after its time. Additive increase, multiplicative decrease (Chiu & Jain
1989) on it, from what really runs. How long a backend takes says nothing here: long answers are not overload. A loop
that is late while the process has hardly been let onto a processor is not late by its own doing, and letting fewer in
would not help: then the limit stays. When it fails: a process that is both overloaded and starved by others looks
like one that is starved, and keeps its limit; and decisions alone are never many at a time. For both there is
`router.serving.waiting_time`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

TICK_S = 0.1
LATE_S, EARLY_S = 0.1, 0.03  # mean lag above which the limit falls, and below which it rises
MEMORY = 0.7  # of the mean, from tick to tick
BUSY = 0.85  # of a core, at least: less is a process that waits for one
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

    def seen(self, lag_s: float, running: int, busy: float = 1.0) -> None:
        """A tick came so late while so many queries ran, and the process used `busy` of a core since the last one."""
        self.lag_s = MEMORY * self.lag_s + (1 - MEMORY) * lag_s
        if self.lag_s > LATE_S:
            if busy < BUSY:
                return
            self._now = max(self.least, FALL * min(self._now, running))
        elif self.lag_s < EARLY_S:
            self._now = min(self.most, self._now + max(1.0, RISE * self.most))

    async def watch(self, running: Callable[[], int]) -> None:
        """For ever."""
        clock, used_s = asyncio.get_running_loop().time, time.process_time
        while True:
            began, before_s = clock(), used_s()
            await asyncio.sleep(TICK_S)
            passed_s = clock() - began
            self.seen(passed_s - TICK_S, running(), (used_s() - before_s) / passed_s)

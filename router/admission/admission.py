"""Who may come in: so many queries at a time, urgent ones a few more, and nobody while the replica goes down.

There is no queue: a query gets a place or is told when to come again, before any work was done for it. A queue would
be full whenever it is needed, and all that waits in it comes late. Where more come than can be looked at they wait all
the same, before they come here; then a share of them is refused, so that the others need not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from router.admission.concurrency_limit import Limit
from router.admission.retry_delay import RetryDelay
from router.admission.shedding import Shedding
from router.errors import Draining, Overloaded

URGENT_SHARE = 0.1  # of the places, for queries of a priority above 0


class Admission:
    """Counts what runs. One event loop."""

    def __init__(self, max_queries: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.max_queries = max_queries
        self.limit = Limit(max_queries)
        self.shedding = Shedding()
        self.draining = False
        self.queries = 0  # running
        self.calls = 0  # running, queries included
        self.came = 0  # queries, since the start
        self.shed = 0  # of these, refused
        self._clock_s = clock_s
        self._retry = RetryDelay()
        self._idle = asyncio.Event()
        self._idle.set()
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Let the limit follow what the running event loop can do."""
        if self._watching is None:
            self._watching = asyncio.create_task(self.limit.watch(lambda: self.queries))

    def close(self) -> None:
        """Follow no more."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    @property
    def full(self) -> bool:
        """Whether no query is let in, urgent or not."""
        return self.draining or self.queries >= self.limit.now

    @property
    def crowded(self) -> bool:
        """Whether only urgent queries are let in, if any."""
        return self.queries >= self.limit.now - int(URGENT_SHARE * self.limit.now)

    @property
    def waiting_s(self) -> float:
        """How long calls stand in line before they come here."""
        return self.shedding.wait_s

    @property
    def retry_after_s(self) -> float:
        """When a place is likely to be free: after as long as a query takes."""
        return self._retry.retry_after_s

    @contextmanager
    def enter(self, *, query: bool, urgent: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Let one call run. Raises `Draining`, and for queries `Overloaded`, before any work was done.

        `urgent` is asked only where the others are refused.
        """
        if self.draining:
            raise Draining("this replica is going down; ask again, another one will answer")
        self.came += query
        if query and (self.queries >= self.limit.now or (self.crowded and not urgent())):
            self.shed += 1
            raise Overloaded(f"{self.queries} queries are running, and no more may", self.retry_after_s)
        if query and self.shedding.next_is_refused() and not urgent():
            self.shedding.refused()
            self.shed += 1
            waits = f"calls wait {self.shedding.wait_s:.1f} s before they are looked at"
            raise Overloaded(f"more queries come than can be worked off: {waits}", self.retry_after_s)
        self.queries += query
        self.calls += 1
        self._idle.clear()
        began_s = self._clock_s()
        try:
            yield
        finally:
            if query:
                self._retry.note(self._clock_s() - began_s)
            self.queries -= query
            self.calls -= 1
            if not self.calls:
                self._idle.set()

    async def drain(self, within_s: float) -> bool:
        """Let nobody in any more and wait for those who run; whether all ended in time."""
        self.draining = True
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

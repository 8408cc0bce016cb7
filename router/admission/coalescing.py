"""Unary queries that come close together are worked off in a row: first all decisions, then all replies.

A reply that is sent between two decisions wakes gRPC's threads and the kernel, and the next decision finds other memory
in the caches than its own. With many calls in flight the loop therefore waits for some to come together. A call alone
is not held up: waiting begins where two came in one turn of the event loop, and ends, for a while, where too few come
together for it to be worth it. Every call stays a task of its own: what fails or is cancelled is that call alone.
"""

from __future__ import annotations

import asyncio

WAIT_S = 0.002  # at most, for others; by half of it half as many come together
MOST = 16  # calls in a row: they hold up everything else in the loop, by some milliseconds
FEW = 5.0  # mean calls in a row below which waiting costs more than it saves
MEMORY = 0.75  # of the mean, from row to row
AGAIN = 256  # calls until waiting is tried again


class Coalescer:
    """Lets calls that come close together begin in one turn of the event loop, to which it belongs."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self.wait_s = wait_s
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._usual = 0.0  # calls in a row; 0: nobody waits
        self._came = 0  # in this turn of the loop, while nobody waits
        self._rest = 0  # calls until waiting may be tried

    async def take(self) -> bool:
        """Wait until it is this call's turn; whether others have theirs in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._usual:
            if not self._came:
                loop.call_soon(self._turned)
            self._came += 1
            return False
        begun = loop.create_future()
        self._waiting.append(begun)
        if self._timer is None:
            self._timer = loop.call_later(self.wait_s, self._begin)
        elif len(self._waiting) == MOST:
            self._timer.cancel()
            loop.call_soon(self._begin)
        await begun
        return True

    def _turned(self) -> None:
        """The turn of the loop in which calls came while nobody waited is over."""
        self._rest -= self._came
        if self._came > 1 and self._rest <= 0:
            self._usual = 2 * FEW
        self._came = 0

    def _begin(self) -> None:
        """All that wait have their turn, in the order in which they came."""
        row, self._waiting, self._timer = self._waiting, [], None
        self._usual = MEMORY * self._usual + (1 - MEMORY) * len(row)
        if self._usual < FEW:
            self._usual, self._rest = 0.0, AGAIN
        for begun in row:
            if not begun.done():  # else its caller has left
                begun.set_result(None)

"""What several samples bring, in the order in which it would have come, at any pace.

Times are in recorded seconds. At pace 0 nothing waits, yet the order is that of the recorded times: a sample that
was recorded as faster still comes first, so that a replay decides as the paced service would.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
Event = tuple[float, T]  # seconds after the sample began, and what comes then


class Timeline(Generic[T]):
    """A heap of the next event of each running sample. `pace`: 0 at once, 1 as recorded, 2 twice as fast."""

    def __init__(self, pace: float, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._began = clock()
        self._popped = 0.0  # recorded seconds of the latest event
        self._heap: list[tuple[float, int, float, T, Iterator[Event[T]]]] = []
        self._order = 0  # of equal times, the sample that started first

    def __len__(self) -> int:
        return len(self._heap)

    def now(self) -> float:
        """Recorded seconds since the timeline was made."""
        return (self._clock() - self._began) * self._pace if self._pace else self._popped

    def start(self, events: Iterator[Event[T]]) -> None:
        """A sample begins now; its events come in ascending time."""
        self._push(self.now(), self._order, events)
        self._order += 1

    async def next(self) -> T:
        """The event that comes next; waits for it at pace > 0. At least one sample must be running."""
        due, order, start, item, events = self._heap[0]
        wait = (due - self.now()) / self._pace if self._pace else 0.0
        if wait > 0.0:
            await asyncio.sleep(wait)
        heapq.heappop(self._heap)
        self._popped = due
        self._push(start, order, events)
        return item

    def _push(self, start: float, order: int, events: Iterator[Event[T]]) -> None:
        event = next(events, None)
        if event is not None:
            heapq.heappush(self._heap, (start + event[0], order, start, event[1], events))


def pieces(text: str, count: int) -> list[str]:
    """Cut `text` into `count` pieces of about equal length that join to it; fewer where it has fewer characters."""
    count = max(1, min(count, len(text)))
    return [text[len(text) * place // count : len(text) * (place + 1) // count] for place in range(count)]

"""Ask a second server where the first has not begun to answer in time; whoever begins first gives the answer.

Hedged requests (Dean & Barroso 2013, "The tail at scale"): the delay is set near a high quantile of the time to the
first token, so that few requests are asked twice. Both are charged, as far as they come; the slower is cut as soon as
the other begins. When it fails: where all servers are busy, a second request makes all of them busier; so only one
further server is asked, and a delay below the usual time doubles the load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Attempt(Generic[T]):
    """One server's stream, and the moment it begins to answer, which comes before its first item."""

    stream: AsyncGenerator[T, None]
    begins: asyncio.Event = field(default_factory=asyncio.Event)


class _Running(Generic[T]):
    """An attempt with a task of its own; what it brings waits until somebody asks."""

    def __init__(self, attempt: Attempt[T]) -> None:
        self._arrived: asyncio.Queue[T | None] = asyncio.Queue()
        self._stream = attempt.stream
        self.begins = asyncio.create_task(attempt.begins.wait())
        self.task = asyncio.create_task(self._pump())
        self.task.add_done_callback(lambda _: self._arrived.put_nowait(None))

    async def items(self) -> AsyncGenerator[T, None]:
        """To the end; raises what ended the stream."""
        while (item := await self._arrived.get()) is not None:
            yield item
        await self.task

    async def cut(self) -> None:
        """End it, and wait until it has cleaned up."""
        self.begins.cancel()
        self.task.cancel()
        await asyncio.wait({self.begins, self.task})
        if not self.task.cancelled():
            self.task.exception()  # nobody else asks for it

    async def _pump(self) -> None:
        async with aclosing(self._stream):
            async for item in self._stream:
                self._arrived.put_nowait(item)


async def hedged(
    first: Attempt[T], second: Callable[[], Attempt[T] | None], after_s: float
) -> AsyncGenerator[T, None]:
    """The items of the attempt that begins first; `second` is called where `first` has not within `after_s`.

    An attempt that fails before it begins leaves the field to the other; with both failed, the first one's error is
    raised. Closing cuts both and waits until they have cleaned up.
    """
    running = [_Running(first)]
    try:
        await asyncio.wait(
            {running[0].begins, running[0].task}, timeout=after_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not (running[0].begins.done() or running[0].task.done()):
            other = second()
            if other is not None:
                running.append(_Running(other))
        ahead = await _ahead(running)
        for one in running:
            if one is not ahead:
                await one.cut()
        async with aclosing(ahead.items()) as items:
            async for item in items:
                yield item
    finally:
        for one in running:
            await one.cut()


async def _ahead(running: list[_Running[T]]) -> _Running[T]:
    """Who begins first, or ends without an error; the first of all where none does."""
    left = list(running)
    while True:
        for one in left:
            if one.begins.done() or (one.task.done() and one.task.exception() is None):
                return one
        left = [one for one in left if not one.task.done()]
        if not left:
            return running[0]
        await asyncio.wait(
            {task for one in left for task in (one.begins, one.task)}, return_when=asyncio.FIRST_COMPLETED
        )

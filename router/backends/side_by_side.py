"""Several streams at once, a new one started only when the consumer asks for more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Generic, TypeVar

T = TypeVar("T")


class _Ended:
    """A stream has no more items, and has cleaned up."""


_ENDED = _Ended()


class _Lanes(Generic[T]):
    """The running streams by name, each with a task of its own, and what they brought."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[str, T | _Ended]] = asyncio.Queue()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, stream: AsyncGenerator[T, None]) -> None:
        task = self.tasks[name] = asyncio.create_task(self._pump(name, stream))
        # a callback, because a task that is cancelled before its first step runs nothing of its own
        task.add_done_callback(lambda _: self.arrived.put_nowait((name, _ENDED)))

    def cut(self, names: Iterable[str]) -> None:
        for name in names:
            self.tasks[name].cancel()

    def ended(self, name: str) -> BaseException | None:
        """Forget a stream that ended; return why it failed, if it did."""
        task = self.tasks.pop(name)
        return None if task.cancelled() else task.exception()

    async def close(self) -> None:
        self.cut(self.tasks)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def _pump(self, name: str, stream: AsyncGenerator[T, None]) -> None:
        async with aclosing(stream):
            async for item in stream:
                self.arrived.put_nowait((name, item))


async def side_by_side(
    streams: Iterator[tuple[str, AsyncGenerator[T, None]]], width: int, pruned: set[str]
) -> AsyncGenerator[T, None]:
    """Yield the items of at most `width` named streams as they come; take the next one where one has ended.

    Streams whose names the consumer puts into `pruned` are cut when it asks for the next item. A stream that fails
    starts no further ones, but what the others still bring is yielded before its error is raised: a vote loses a
    sample, not the samples of its neighbours. Closing cancels the streams and waits until each has cleaned up.
    """
    lanes: _Lanes[T] = _Lanes()
    failed: BaseException | None = None
    try:
        while True:
            lanes.cut(pruned & lanes.tasks.keys())
            while len(lanes.tasks) < width and failed is None and (named := next(streams, None)):
                lanes.start(*named)
            if not lanes.tasks:
                break
            name, item = await lanes.arrived.get()
            if isinstance(item, _Ended):
                error = lanes.ended(name)
                failed = failed or error
            elif name not in pruned:
                yield item
    finally:
        await lanes.close()
    if failed is not None:
        raise failed

"""A stream to one caller that is never silent for long: one write at a time, and a sign of life in between.

A caller who reads nothing has as much waiting as its connection takes, and then holds whoever writes. Not for ever:
where it takes not even the signs of life, the stream ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from router.connections.slow_reader import unread

T = TypeVar("T")

UNREAD = 4  # signs of life: a caller that takes none for so long is not waited for


class KeepAliveStream(Generic[T]):
    """Enter it to write; while it is open, `silence_s` seconds without a write are broken by `sign`.

    Leaving it raises `DeadlineExceeded` where the task was cut because the caller took nothing for `UNREAD` times so
    long.
    """

    def __init__(self, send: Callable[[T], Awaitable[None]], sign: T, silence_s: float) -> None:
        self._send, self._sign, self._silence_s = send, sign, silence_s
        self._writing = asyncio.Lock()  # gRPC takes one message of a call at a time, and events must not mix
        self._ahead: asyncio.Task[None] | None = None
        self._clock = asyncio.get_running_loop().time
        self._patience = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._patience.__aenter__()
        self._wrote_s = self._clock()
        self._alive = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ahead is not None:
            if error is not None and not isinstance(error, Exception):  # nobody waits for it any more
                self._ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # the caller is gone
                await self._ahead
        self._alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._alive
        try:
            await self._patience.__aexit__(kind, error, trace)
        except TimeoutError:
            raise unread(UNREAD * self._silence_s) from error

    def write_ahead(self, item: T) -> None:
        """Write one item while who writes goes on with other work; it goes out before all that is written later.

        What `send` raises is raised by the next `write`.
        """
        self._ahead = asyncio.create_task(self._put(item))

    async def write(self, item: T) -> None:
        """Write one item; raises what `send` raises where the caller is gone."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            await ahead
        await self._put(item)

    async def _put(self, item: T) -> None:
        async with self._writing:
            await self._send(item)
            self._wrote_s = self._clock()

    async def _keep_alive(self) -> None:
        while True:
            left_s = self._wrote_s + self._silence_s - self._clock()
            if left_s > 0:
                await asyncio.sleep(left_s)
                continue
            try:
                async with asyncio.timeout(UNREAD * self._silence_s):
                    await self._put(self._sign)
            except TimeoutError:
                self._patience.reschedule(self._clock())
                return
            except Exception:  # noqa: BLE001 (whatever a transport raises: the caller is gone, and the call ends by that)
                return

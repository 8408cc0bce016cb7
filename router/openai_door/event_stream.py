"""Server-sent events on their way to one caller; never silent for long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

KEEP_ALIVE = b": keep-alive\n\n"  # a comment: readers skip it


class EventStream:
    """Enter it to send the headers, then `write`; while it is open, `keep_alive_s` of silence are broken by a comment.

    Where the caller is gone it raises `asyncio.CancelledError`: what the request's task gets when the end of the
    connection is seen, however that is noticed first.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str], keep_alive_s: float) -> None:
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",  # nginx would keep the text until there is enough of it
                **headers,
            }
        )
        self._request, self._keep_alive_s = request, keep_alive_s
        self._clock = asyncio.get_running_loop().time
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        with _caller_may_leave():
            await self.response.prepare(self._request)
        self._wrote_s = self._clock()
        self._alive = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._alive

    async def write(self, event: bytes) -> None:
        """Write one whole event."""
        async with self._writing:
            with _caller_may_leave():
                await self.response.write(event)
            self._wrote_s = self._clock()

    async def _keep_alive(self) -> None:
        while True:
            left_s = self._wrote_s + self._keep_alive_s - self._clock()
            if left_s > 0:
                await asyncio.sleep(left_s)
            else:
                await self.write(KEEP_ALIVE)


@contextlib.contextmanager
def _caller_may_leave() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise asyncio.CancelledError("the caller left") from error

"""Server-sent events on their way to one caller; never silent for long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from aiohttp import HttpVersion11, web

from router.connections.keep_alive_stream import KeepAliveStream
from router.errors import DeadlineExceeded

KEEP_ALIVE = b": keep-alive\n\n"  # a comment: readers skip it


class EventStream:
    """Enter it, then `write`; while it is open, `keep_alive_s` of silence are broken by a comment.

    Status, headers and `opening` go out with whatever is sent first: what fails before has a status of its own.
    Where the caller is gone it raises `asyncio.CancelledError`: what the request's task gets when the end of the
    connection is seen, however that is noticed first. So it does where the caller reads nothing for too long.
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
        if request.version < HttpVersion11:
            self.response.force_close()  # HTTP/1.0 has no chunks: the end of the connection is that of the text
        self.opening = b""  # stands before all that is written
        self._request = request
        self._events = KeepAliveStream(self._send, KEEP_ALIVE, keep_alive_s)

    async def __aenter__(self) -> Self:
        await self._events.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with left_where_unread(self._request):
            await self._events.__aexit__(kind, error, trace)

    async def write(self, event: bytes) -> None:
        """Write one whole event."""
        await self._events.write(event)

    async def _send(self, event: bytes) -> None:
        with _caller_may_leave():
            if not self.response.prepared:
                await self.response.prepare(self._request)
                event = self.opening + event
            await self.response.write(event)


@contextlib.contextmanager
def left_where_unread(request: web.Request) -> Iterator[None]:
    """A caller that reads nothing for too long is one that left."""
    try:
        yield
    except DeadlineExceeded as unread:
        if request.transport is not None:
            request.transport.abort()  # what waits there would be waited for
        raise asyncio.CancelledError("the caller reads nothing") from unread


@contextlib.contextmanager
def _caller_may_leave() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise asyncio.CancelledError("the caller left") from error

"""Reading a streamed reply: bytes until its end or until time is up, and a connection that is used again.

A timer per read costs as much as decoding what was read, so that there is one timer per reply. A reply that was read
to its last event leaves its connection to the next request once the server has closed it in form: most servers do so
in a packet of its own, a fraction of a millisecond later, which is waited for when everything was handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

ENDS_WITHIN_S = 0.05  # after its last event; later, the connection is closed


class Until:
    """Inside of it, who reads `content` after `deadline()` (on the event loop's clock) gets `TimeoutError`.

    The deadline may move later while it is open.
    """

    def __init__(self, content: aiohttp.StreamReader, deadline: Callable[[], float]) -> None:
        self._content, self._deadline = content, deadline
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._timer = self._loop.call_at(self._deadline(), self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        if self._loop.time() < self._deadline():
            self._timer = self._loop.call_at(self._deadline(), self._ring)
        else:
            self._content.set_exception(TimeoutError())


async def let_end(response: aiohttp.ClientResponse) -> None:
    """Its last event was read: aiohttp keeps the connection where its end comes soon, else it is closed."""
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            while await response.content.readany():
                pass
    except (aiohttp.ClientError, OSError):  # TimeoutError is one
        pass
    finally:
        response.close()  # nothing where the end has come

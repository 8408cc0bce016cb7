"""Reading a streamed reply: bytes until its end or until time is up, and a connection that is used again.

A timer per read costs as much as decoding what was read, so that there is one timer per reply. A reply that was read
to its last event leaves its connection to the next request as soon as the server has closed it in form: most servers
do so in a packet of its own, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

ENDS_WITHIN_S = 1.0  # after its last event; later, the connection is closed


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


def let_end(response: aiohttp.ClientResponse) -> None:
    """Its last event was read: aiohttp keeps the connection when its end comes, or it is closed."""
    asyncio.get_running_loop().call_later(ENDS_WITHIN_S, response.close)

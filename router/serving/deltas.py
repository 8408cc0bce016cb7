"""Committed text on its way to one caller: pieces that come close together go as one message.

A message costs as much as all that is done to make its text. The first piece goes at once; later ones wait at most
`SHORT_S` after the message before them, `LONG_S` where more than `MANY` streams are open. A caller who reads
slowly has at most `MOST_CHARS` waiting: then the plan waits with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

SHORT_S, LONG_S = 0.005, 0.02
MANY = 64  # streams of this process
MOST_CHARS = 65_536


class OpenStreams:
    """How many streams this process has open. One event loop."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def window_s(self) -> float:
        """How long a piece may wait for others."""
        return SHORT_S if self.count <= MANY else LONG_S


class Deltas:
    """Enter it to `add` pieces; `flush` before anything else is written to the same caller."""

    def __init__(self, write: Callable[[str, str], Awaitable[None]], streams: OpenStreams) -> None:
        self._write, self._streams = write, streams
        self._loop = asyncio.get_running_loop()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._chars = 0
        self._wrote_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None  # begun by the timer

    async def __aenter__(self) -> Self:
        self._streams.count += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.count -= 1
        self._stop_timer()
        if self._writing is not None:
            self._writing.cancel()
            # the caller is gone, or was told already
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._writing

    async def add(self, text: str, reasoning: str) -> None:
        """A piece; raises what `write` raises where the caller is gone, maybe with a later piece."""
        due_s = self._wrote_s + self._streams.window_s
        # of most: nothing is near it
        if not self._text and self._writing is None and self._loop.time() >= due_s:
            await self._write(text, reasoning)
            self._wrote_s = self._loop.time()
            return
        self._text.append(text)
        self._reasoning.append(reasoning)
        self._chars += len(text) + len(reasoning)
        if self._chars > MOST_CHARS or self._loop.time() >= due_s:
            await self.flush()
        elif self._timer is None and (self._writing is None or self._writing.done()):
            self._timer = self._loop.call_at(due_s, self._begin)

    async def flush(self) -> None:
        """Write what waits."""
        self._stop_timer()
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
        await self._out()

    def _begin(self) -> None:
        self._timer = None
        self._writing = self._loop.create_task(self._out())

    async def _out(self) -> None:
        while self._text:
            text, reasoning = "".join(self._text), "".join(self._reasoning)
            self._text.clear()
            self._reasoning.clear()
            self._chars = 0
            await self._write(text, reasoning)
            self._wrote_s = self._loop.time()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

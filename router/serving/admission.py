"""Who may come in: so many queries at a time, and nobody while the replica goes down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from router.errors import Draining, Overloaded

RETRY_AFTER_S = 1.0  # a query takes about so long; the client adds jitter


class Admission:
    """Counts what runs. One event loop."""

    def __init__(self, max_queries: int) -> None:
        self.max_queries = max_queries
        self.draining = False
        self.queries = 0  # running
        self.calls = 0  # running, queries included
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def enter(self, *, query: bool) -> Iterator[None]:
        """Let one call run. Raises `Draining`, and for queries `Overloaded`, before any work was done."""
        if self.draining:
            raise Draining("this replica is going down; ask again, another one will answer")
        if query and self.queries >= self.max_queries:
            raise Overloaded(f"{self.queries} queries are running, and no more may", RETRY_AFTER_S)
        self.queries += query
        self.calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.queries -= query
            self.calls -= 1
            if not self.calls:
                self._idle.set()

    async def drain(self, within_s: float) -> bool:
        """Let nobody in any more and wait for those who run; whether all ended in time."""
        self.draining = True
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

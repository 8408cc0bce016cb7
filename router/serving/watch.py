"""Rows as they are logged, for one who watches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from router.domain.decision import Decision

MOST_WAITING = 1000  # rows; who reads more slowly than they come loses the oldest


async def watch(
    onlookers: list[Callable[[Decision], None]], tenant: str = ""
) -> AsyncGenerator[Decision, None]:
    """This replica's rows from now on, of one tenant or of all; leave it to stop watching."""
    waiting: deque[Decision] = deque(maxlen=MOST_WAITING)
    news = asyncio.Event()

    def seen(decision: Decision) -> None:
        if not tenant or decision.tenant == tenant:
            waiting.append(decision)
            news.set()

    onlookers.append(seen)
    try:
        while True:
            await news.wait()
            news.clear()
            while waiting:
                yield waiting.popleft()
    finally:
        onlookers.remove(seen)

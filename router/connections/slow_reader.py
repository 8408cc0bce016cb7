"""A caller that reads nothing is not waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from router.errors import DeadlineExceeded

UNREAD_S = 60.0


async def taken(sending: Awaitable[object]) -> None:
    """Wait until the caller has taken what is being sent. Raises `DeadlineExceeded` where it has not in `UNREAD_S`."""
    try:
        async with asyncio.timeout(UNREAD_S):
            await sending
    except TimeoutError as error:
        raise unread(UNREAD_S) from error


def unread(seconds: float) -> DeadlineExceeded:
    """What ends a call whose caller has taken nothing for so long."""
    return DeadlineExceeded(f"the caller has read nothing for {seconds:g} s")

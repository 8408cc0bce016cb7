"""A backend's load is looked at in the background, and a router forecasts with it."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from router.backends.server_load import ServerLoad
from router.costs.live_speeds import LiveSpeeds
from router.costs.load_watch import LoadWatch
from router.domain.speed import Speed

ALONE = Speed(0.2, 50.0)
BUSY = ServerLoad(running=2, waiting=4, stay_s=30.0, stays=10)  # 3 s each: 6 s of queue


class Server:
    """Says what is next in line, and the last of it for ever."""

    def __init__(self, *said: ServerLoad | None) -> None:
        self.said, self.looks = deque(said), asyncio.Semaphore(0)

    async def load(self, wait_s: float) -> ServerLoad | None:
        self.looks.release()
        return self.said.popleft() if len(self.said) > 1 else self.said[0]


async def seen(server: Server, looks: int) -> LiveSpeeds:
    """The speeds after so many looks."""
    speeds = LiveSpeeds({"small": ALONE, "large": ALONE})
    watch = LoadWatch({"small": server, "large": object()}, {"small": 0.001, "large": 0.001}, speeds)
    watch.start()
    for _ in range(looks + 1):  # when the next one begins, the one before is done with
        await server.looks.acquire()
    await watch.close()
    return speeds


async def test_a_busy_server_is_forecast_with_its_queue_and_others_as_configured():
    speeds = await seen(Server(BUSY), 2)
    assert speeds["small"].first_token_s == pytest.approx(6.2)
    assert speeds["large"] == ALONE


async def test_one_look_alone_changes_nothing():
    assert (await seen(Server(BUSY, None), 1))["small"] == ALONE


async def test_a_server_that_falls_silent_is_forecast_as_configured():
    assert (await seen(Server(BUSY, BUSY, None), 3))["small"] == ALONE


async def test_a_backend_that_is_not_watched_is_not_asked():
    server = Server(BUSY)
    watch = LoadWatch({"small": server}, {"small": 0.0}, LiveSpeeds({"small": ALONE}))
    watch.start()
    await asyncio.sleep(0)
    await watch.close()
    assert server.looks.locked()

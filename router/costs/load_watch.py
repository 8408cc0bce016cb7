"""Looks at the load of model servers now and then, so that forecasts of latency reckon with it.

Off the path of queries: a backend that says nothing of its load, or not in time, is forecast as configured.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import structlog

from router.backends.server_load import ServerLoad, speed_now
from router.costs.live_speeds import LiveSpeeds


@runtime_checkable
class Tells(Protocol):
    """A backend whose servers say how loaded they are."""

    async def load(self, wait_s: float) -> ServerLoad | None:
        """All servers together, within `wait_s`; None where none says it. Raises nothing else."""
        ...


class LoadWatch:
    """A task per backend that is watched. `start` it on the event loop; `close` ends it."""

    def __init__(
        self, backends: Mapping[str, object], every_s: Mapping[str, float], speeds: LiveSpeeds
    ) -> None:
        self._watched = {
            name: backend
            for name, backend in backends.items()
            if isinstance(backend, Tells) and every_s.get(name, 0.0) > 0
        }
        self._every_s, self._speeds = every_s, speeds
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._watch(name, backend), name=f"load of {name}")
                for name, backend in self._watched.items()
            ]

    async def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _watch(self, name: str, backend: Tells) -> None:
        every_s, before, silent = self._every_s[name], None, False
        while True:
            now = await backend.load(every_s)
            if now is None:
                self._speeds.forget(name)
                if not silent:
                    structlog.get_logger("router.load").warning(
                        "the server says nothing of its load; latency is forecast as configured", backend=name
                    )
            elif before is not None:
                self._speeds.say(name, speed_now(before, now, self._speeds.configured[name]))
            before, silent = now, now is None
            await asyncio.sleep(every_s)

"""Which backends are out of service, by an operator or for what they did, and what is running on each.

A composition is as closed as those that it asks, and what runs on it may run on each of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TypeVar

from router.domain.backend_state import BackendState
from router.errors import BackendUnavailable
from router.switches.interruptible import Interruptible

T = TypeVar("T")
BY_OPERATOR = {
    BackendState.DRAIN: "is drained by an operator",
    BackendState.DISABLE: "is disabled by an operator",
}


class Flight:
    """One stage that draws from a backend."""

    def __init__(self, samples: int, width: int, ends_at: float | None = None) -> None:
        self._left, self._width = samples, width
        self._cut = ""  # the backend that was disabled
        self._waits = Interruptible(ends_at)

    @property
    def in_flight(self) -> int:
        """Samples that may be running: a backend starts no more than `width`, and none that is not asked for."""
        return min(self._left, self._width)

    def sample_ended(self) -> None:
        """One of the stage's samples is there."""
        self._left = max(0, self._left - 1)

    async def next(self, arrivals: AsyncIterator[T]) -> T | None:
        """What arrives next, None where nothing more does.

        Raises `TimeoutError` when its time is over, `BackendUnavailable` as soon as an operator cuts it.
        """
        if self._cut:
            raise disabled(self._cut)
        try:
            with self._waits:
                return await anext(arrivals, None)
        except TimeoutError:
            if self._cut:
                raise disabled(self._cut) from None
            raise

    def cut(self, backend: str) -> None:
        """End it now, also where it waits: the backend was disabled."""
        self._cut = backend
        self._waits.interrupt()

    def close(self) -> None:
        """Nothing more is waited for."""
        self._waits.close()


class BackendSwitch:
    """The states of one replica's backends; a name that was never set is enabled. Belongs to one event loop."""

    def __init__(self, members: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self._members = members  # composition -> the backends that it asks
        self._states: dict[str, BackendState] = {}
        self._quarantined: dict[str, str] = {}  # backend -> why
        self._flights: dict[str, set[Flight]] = {}

    def state(self, backend: str) -> BackendState:
        """What holds now."""
        return self._states.get(backend, BackendState.ENABLE)

    def set(self, backend: str, state: BackendState) -> None:
        """Let `state` hold from now on; a quarantine ends with it."""
        self._quarantined.pop(backend, None)
        self._states[backend] = state
        if state is BackendState.DISABLE:
            for flight in self._flights.get(backend, ()):
                flight.cut(backend)

    def asked(self, backend: str) -> tuple[str, ...]:
        """The backend and those that it asks."""
        return (backend, *self._members.get(backend, ()))

    def quarantine(self, backend: str, why: str) -> bool:
        """Disable it until an operator enables it again; whether that is new."""
        if backend in self._quarantined:
            return False
        self.set(backend, BackendState.DISABLE)
        self._quarantined[backend] = why
        return True

    def objection(self, backend: str) -> str:
        """Why the backend gets no new query, in words; empty where it does."""
        return next(filter(None, map(self._own_objection, self.asked(backend))), "")

    def _own_objection(self, backend: str) -> str:
        quarantined = self._quarantined.get(backend)
        if quarantined:
            return f"backend {backend!r} is in quarantine: {quarantined}"
        why = BY_OPERATOR.get(self.state(backend))
        return f"backend {backend!r} {why}" if why else ""

    def closed(self) -> tuple[str, ...]:
        """The backends that get no new query."""
        return tuple(name for name in {**self._states, **self._members} if self.objection(name))

    def objections(self) -> tuple[str, ...]:
        """Why some backends get no new query, in words, each reason once."""
        return tuple(dict.fromkeys(map(self.objection, self.closed())))

    def in_flight(self, backend: str) -> int:
        """Samples that may be running there."""
        return sum(flight.in_flight for flight in self._flights.get(backend, ()))

    @asynccontextmanager
    async def flight(
        self, backend: str, samples: int, width: int, ends_at: float | None
    ) -> AsyncIterator[Flight]:
        """A stage of at most `samples` samples, `width` at once; where it is disabled its `next` raises.

        `ends_at`: when its time is over, on the event loop's clock; None: never.
        """
        flight, names = Flight(samples, width, ends_at), self.asked(backend)
        for name in names:
            if self.state(name) is BackendState.DISABLE:
                flight.cut(name)
            self._flights.setdefault(name, set()).add(flight)
        try:
            yield flight
        finally:
            for name in names:
                self._flights[name].discard(flight)
            flight.close()


def disabled(backend: str) -> BackendUnavailable:
    """What is told of one that an operator disabled."""
    return BackendUnavailable(f"backend {backend!r} {BY_OPERATOR[BackendState.DISABLE]}")

"""Short calls beside a sample that grows: where its text so far would go on to, asked of the server that writes it.

Same server, so that what the sample has computed is in the prefix cache. Each is booked as a side call, not as a
sample, whether it comes to its end or not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from predictors.observation import Sample, Sampling
from router.backends import Call
from router.backends.elicit import continued
from router.backends.openai_endpoints import Endpoint
from router.domain.events import Delta
from router.domain.usage import Meter
from router.errors import BackendUnavailable


@dataclass(slots=True)
class Home:
    """The server that a sample is written by, once that is known."""

    endpoint: Endpoint | None = None


class Streams(Protocol):
    """Sends one request and yields what comes of it."""

    def __call__(
        self,
        call: Call,
        meter: Meter,
        body: Mapping[str, Any],
        indices: list[int],
        ends_at: float | None,
        home: Home | None = None,
    ) -> AsyncGenerator[Sample | Delta, None]:
        """`indices`: of the samples that are asked for; `home`: where to, or where the chosen server is noted."""
        ...


@dataclass(slots=True)
class SideCalls:
    """The side calls of one sample."""

    streams: Streams
    call: Call
    meter: Meter
    body: Mapping[str, Any]  # of the sample's own request
    index: int
    ends_at: float | None  # on the event loop's clock
    home: Home

    async def __call__(self, begun: str, max_tokens: int) -> Sample:
        """What comes after `begun`, the assistant's turn so far. Raises `BackendError`."""
        own = Meter()
        asked = replace(
            self.call,
            sampling=Sampling(temperature=0.0, max_tokens=max_tokens),
            max_samples=1,
            width=1,
            stream=False,
            growing=False,
            growth=None,
            pruned=set(),
            closing=set(),
        )
        body = continued(self.body, begun, max_tokens)
        try:
            streamed = self.streams(asked, own, body, [self.index], self.ends_at, self.home)
            async with aclosing(streamed) as events:
                async for event in events:
                    if isinstance(event, Sample) and event.finished:
                        return event
        finally:
            for name, usage in own.by_backend.items():
                self.meter.add(name, replace(usage, samples=0, side_calls=1))
        raise BackendUnavailable(f"{self.call.stage}.{self.index}: a side call brought nothing")

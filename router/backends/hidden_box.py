"""Hidden states within a time-box: a sample goes on without them where they are late, and says so.

After `PATIENCE` failures in a row the source is not waited for during `REST_S`: a source that died costs some samples
their time-box once, then nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import structlog

from predictors.observation import Message, Sample
from router.backends.hidden import BROKEN, LATE, RESTING, THERE, HiddenSource, Ticket

PATIENCE = 5
REST_S = 10.0


@dataclass(slots=True)
class TimeBox:
    """One backend's source, and how it has done so far. Belongs to one event loop."""

    name: str  # of the backend
    source: HiddenSource
    limit_s: float = 0.05  # on the path of a request
    clock: Callable[[], float] | None = None  # seconds; None: the event loop's
    failures: int = 0  # in a row
    resting_until: float = 0.0

    def begin(self, messages: tuple[Message, ...], tenant: str) -> Ticket:
        """See `HiddenSource.begin`."""
        return self.source.begin(messages, tenant)

    async def with_states(self, ticket: Ticket, index: int, sample: Sample) -> Sample:
        """The finished sample with its states, or without and with the reason in `states`."""
        now = self.clock or asyncio.get_running_loop().time
        if now() < self.resting_until:
            return replace(sample, states=RESTING)
        try:
            async with asyncio.timeout(self.limit_s):
                found = await self.source.fetch(ticket, index, sample)
            if found.values.ndim != 1 or not np.isfinite(found.values).all():
                raise ValueError("not one vector of finite numbers")
        except TimeoutError:
            why, outcome = f"nothing within {1000 * self.limit_s:g} ms", LATE
        except (ValueError, OSError) as error:
            why, outcome = str(error), BROKEN
        else:
            self.failures = 0
            return replace(sample, hidden=found.values, pieces=found.pieces, states=THERE)
        self.failures += 1
        if self.failures >= PATIENCE:
            self.failures, self.resting_until = 0, now() + REST_S
            structlog.get_logger().warning(
                "no hidden states: logprobs are used", backend=self.name, why=why, rest_s=REST_S
            )
        return replace(sample, states=outcome)

    async def close(self) -> None:
        """Release connections."""
        await self.source.close()

"""Three times as many queries as there are places for, come what may: what is answered, what is told to the others.

An open loop: queries are sent at their times, whatever became of those before them. Probes ask for the service's
health meanwhile. A refusal counts as one only with the reason OVERLOAD and a delay after which to come again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from training.suites.serving.load import CONNECTIONS, connections
from training.suites.serving.processes import Running
from training.suites.serving.wire import SERVICE

PROBE_EVERY_S = 0.1
DETAILS = "grpc-status-details-bin"


@dataclass(slots=True)
class Pressed:
    """What an open loop saw."""

    seconds: float
    offered: int = 0
    answered: int = 0
    shed: int = 0  # refused as overload, with a delay
    other: int = 0  # anything else: none is wanted
    probes_s: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    def probe_ms(self, quantile: float) -> float:
        """A quantile of how long a probe of health took."""
        return 1e3 * float(np.quantile(self.probes_s, quantile))


async def open_loop(server: Running, requests: Iterator[bytes], per_s: float, seconds: float) -> Pressed:
    """`per_s` calls of Generate a second for so long, then all that is still on its way."""
    seen, clock = Pressed(seconds), time.perf_counter
    async with connections(server.address, CONNECTIONS + 1) as channels:
        calls: list[Any] = [channel.unary_unary(f"/{SERVICE}/Generate") for channel in channels[1:]]
        probe: Any = health_pb2_grpc.HealthStub(channels[0])
        running: set[asyncio.Task[None]] = set()
        began = clock()

        async def probing() -> None:
            while clock() < began + seconds:
                asked = clock()
                await probe.Check(health_pb2.HealthCheckRequest())
                seen.probes_s.append(clock() - asked)
                await asyncio.sleep(PROBE_EVERY_S)

        probes = asyncio.create_task(probing())
        while (passed := clock() - began) < seconds:
            while seen.offered < passed * per_s:
                task = asyncio.create_task(
                    _one(calls[seen.offered % len(calls)], next(requests), server.metadata, seen)
                )
                seen.offered += 1
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(1.0 / per_s)
        await asyncio.gather(probes, *running)
    return seen


async def _one(call: Any, request: bytes, metadata: tuple[tuple[str, str], ...], seen: Pressed) -> None:
    try:
        await call(request, metadata=metadata)
        seen.answered += 1
    except grpc.aio.AioRpcError as error:
        if is_refusal(error):
            seen.shed += 1
        else:
            seen.other += 1


def is_refusal(error: grpc.aio.AioRpcError) -> bool:
    """Whether the service was overloaded, and said when to come again."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailers.get(DETAILS, b"")))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    reasons = [info.reason for detail in status.details if detail.Unpack(info)]
    delays = [retry.retry_delay.ToTimedelta() for detail in status.details if detail.Unpack(retry)]
    return reasons == ["OVERLOAD"] and any(delay.total_seconds() > 0 for delay in delays)

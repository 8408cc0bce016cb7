"""Closed loops of calls: so many in flight, for so long. Requests and replies stay bytes: the caller is cheap."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from training.suites.serving.processes import Running
from training.suites.serving.wire import SERVICE

CONNECTIONS = 8  # the kernel gives each to one worker


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a closed loop saw."""

    calls: int
    seconds: float
    server_cpu_s: float
    latencies_s: tuple[float, ...]

    @property
    def rps(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    @property
    def server_cpu_us(self) -> float:
        """Of the server's processor time, per call."""
        return 1e6 * self.server_cpu_s / max(1, self.calls)

    def latency_ms(self, quantile: float) -> float:
        """A quantile of the calls' latencies."""
        return 1e3 * float(np.quantile(self.latencies_s, quantile))


@asynccontextmanager
async def connections(address: str, count: int = CONNECTIONS) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Connections that share nothing."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(count)]
    try:
        yield channels
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def closed_loop(
    server: Running, method: str, requests: Iterator[bytes], in_flight: int, seconds: float
) -> Loaded:
    """`in_flight` callers, each asking again as soon as it has its reply (of a stream: its end)."""
    latencies: list[float] = []
    async with connections(server.address, min(in_flight, CONNECTIONS)) as channels:
        path = f"/{SERVICE}/{method}"
        calls: list[Any] = [
            channel.unary_stream(path) if method.endswith("Stream") else channel.unary_unary(path)
            for channel in channels
        ]
        said = server.metadata
        await asyncio.gather(*(once(call, next(requests), said) for call in calls))  # connected
        clock = time.perf_counter
        began, cpu = clock(), server.cpu_s()
        ends = began + seconds

        async def caller(call: object) -> None:
            while (sent := clock()) < ends:
                await once(call, next(requests), said)
                latencies.append(clock() - sent)

        await asyncio.gather(*(caller(call) for call in itertools.islice(itertools.cycle(calls), in_flight)))
        took = clock() - began
        return Loaded(len(latencies), took, server.cpu_s() - cpu, tuple(latencies))


async def once(call: object, request: bytes, metadata: tuple[tuple[str, str], ...] = ()) -> None:
    """One call to its end."""
    if isinstance(call, grpc.aio.UnaryStreamMultiCallable):
        async for _ in call(request, metadata=metadata):
            pass
    elif isinstance(call, grpc.aio.UnaryUnaryMultiCallable):
        await call(request, metadata=metadata)

"""Every kind of call in a fixed mix, each sent at its time whatever became of those before it: an open loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import numpy as np

from router.v1 import apportion_router_pb2 as pb
from training.suites.serving.load import CONNECTIONS, connections
from training.suites.serving.overload import is_refusal
from training.suites.serving.processes import Running
from training.suites.serving.prompts import Turn
from training.suites.serving.wire import SERVICE, request

# of ten calls
KINDS = (
    *("Generate", "Decide", "Generate", "door", "ReportOutcome", "Generate", "GenerateStream"),
    *("Decide", "Generate", "ReportOutcome"),
)
USED = pb.UsageItem(out=5, samples=1)
STUCK_S = 60.0
LATE_S = 1.0


@dataclass(slots=True)
class Mixed:
    """What became of the calls."""

    sent: int = 0
    done: Counter[str] = field(default_factory=Counter)  # by kind
    refused: int = 0  # as overload, with a delay
    failed: Counter[str] = field(default_factory=Counter)  # by what was said: none is wanted
    reported: list[str] = field(default_factory=list)  # keys of outcomes that were acknowledged
    # by kind, from the time at which a call should have been sent
    latencies_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # of the run, in which a call should have been sent that took LATE_S
    late_seconds: set[int] = field(default_factory=set)

    def latency_ms(self, share: float, kind: str = "") -> float:
        """A quantile, of one kind or of all; infinite where nothing came back."""
        found = self.latencies_s[kind] if kind else [s for many in self.latencies_s.values() for s in many]
        return 1e3 * float(np.quantile(found, share)) if found else float("inf")


class Caller:
    """Sends calls to one server."""

    def __init__(
        self,
        channels: list[grpc.aio.Channel],
        session: aiohttp.ClientSession,
        server: Running,
        asked: Iterator[tuple[Turn, ...]],
    ) -> None:
        self._session, self._door, self._asked = session, f"http://{server.http}/v1/chat/completions", asked
        self._metadata = server.metadata
        self._calls: dict[str, list[Any]] = {
            name: [
                (one.unary_stream if name == "GenerateStream" else one.unary_unary)(f"/{SERVICE}/{name}")
                for one in channels
            ]
            for name in ("Generate", "Decide", "GenerateStream", "ReportOutcome", "ReportUsage")
        }
        self._number = 0
        self._answered = ""  # the latest decision

    async def run(self, per_s: float, seconds: float) -> Mixed:
        """`per_s` calls a second for so long, then all that is still on its way."""
        seen, clock, running = Mixed(), time.perf_counter, set[asyncio.Task[None]]()
        began = clock()
        while (passed := clock() - began) < seconds:
            while seen.sent < passed * per_s:
                task = asyncio.create_task(self._one(self._number, began, seen.sent / per_s, seen))
                self._number += 1
                seen.sent += 1
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(min(0.01, 1.0 / per_s))
        if running:
            await asyncio.wait(running, timeout=STUCK_S)
        for task in tuple(running):
            task.cancel()
            seen.failed["no answer"] += 1
        return seen

    async def _one(self, number: int, began: float, at: float, seen: Mixed) -> None:
        kind = KINDS[number % len(KINDS)]
        try:
            if kind == "door":
                said = await self._chat()
            elif kind == "ReportOutcome":
                said = await self._report(number, seen)
            else:
                said = await self._query(kind, number)
        except grpc.aio.AioRpcError as error:
            said = "" if is_refusal(error) else f"{kind}: {error.code().name}: {error.details()}"[:160]
            seen.refused += not said
        except (aiohttp.ClientError, OSError) as error:
            said = f"{kind}: {error!r}"[:160]
        else:
            seen.done[kind] += not said
            took_s = time.perf_counter() - began - at
            seen.latencies_s[kind].append(took_s)
            if took_s >= LATE_S:
                seen.late_seconds.add(int(at))
        if said:
            seen.failed[said] += 1

    async def _query(self, kind: str, number: int) -> str:
        call, raw = self._calls[kind][number % CONNECTIONS], request(next(self._asked))
        if kind == "GenerateStream":
            async for _ in call(raw, metadata=self._metadata):
                pass
        elif kind == "Generate":
            self._answered = pb.GenerateReply.FromString(await call(raw, metadata=self._metadata)).decision_id
        else:  # whoever decides draws its samples itself, and says what they took
            decided = pb.DecideReply.FromString(await call(raw, metadata=self._metadata)).decision_id
            used = pb.ReportUsageRequest(decision_id=decided, by_backend={"small": USED}, final=True)
            await self._calls["ReportUsage"][number % CONNECTIONS](
                used.SerializeToString(), metadata=self._metadata
            )
        return ""

    async def _report(self, number: int, seen: Mixed) -> str:
        if not self._answered:
            return ""
        key = f"soak-{number}"
        report = pb.ReportOutcomeRequest(
            decision_id=self._answered, metric=f"metric_{number % 5}", number=0.5, key=key
        )
        await self._calls["ReportOutcome"][number % CONNECTIONS](
            report.SerializeToString(), metadata=self._metadata
        )
        seen.reported.append(key)
        return ""

    async def _chat(self) -> str:
        messages = [{"role": role, "content": text} for role, text in next(self._asked)]
        body = {"model": "auto", "messages": messages}
        async with self._session.post(self._door, json=body, headers=dict(self._metadata)) as reply:
            said = await reply.text()
            return "" if reply.status == 200 else f"door: HTTP {reply.status}: {said}"[:160]


@asynccontextmanager
async def caller(server: Running, asked: Iterator[tuple[Turn, ...]]) -> AsyncIterator[Caller]:
    """Connected."""
    async with (
        connections(server.address) as channels,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Caller(channels, session, server, asked)

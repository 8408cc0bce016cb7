"""Users who ask, report how it turned out until that is acknowledged, and probes of liveness beside them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from predictors.observation import Constraints
from router.client import ApportionError, Client
from training.chaos.world import World

USERS = 50
THINK_S = 0.4
TIMEOUT_S = 20.0
PROBE_EVERY_S = 0.1
REPORT_AGAIN_S, LATEST_AGAIN_S = 0.5, 4.0  # doubled from the one to the other
PLANS = ("small", "small", "cascade", "")  # "": as the service chooses


@dataclass(frozen=True, slots=True)
class Answered:
    """A query with an answer."""

    at: float  # sent; monotonic
    seconds: float
    decision_id: str


@dataclass(slots=True)
class Seen:
    """What callers saw, since the load began."""

    answered: list[Answered] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)  # when, and what was said
    moved: int = 0  # queries for which the user had to go to the other replica
    reported: set[str] = field(default_factory=set)  # keys that were acknowledged
    waiting: set[str] = field(default_factory=set)  # keys that are not yet
    refusals: Counter[str] = field(default_factory=Counter)  # of reports, by reason
    report_s: list[tuple[float, float]] = field(default_factory=list)  # when, and how long until told
    probes: list[tuple[float, float]] = field(default_factory=list)  # when, and how long; infinite: no answer

    def latencies(self, since: float, until: float) -> list[float]:
        """Of queries sent in [since, until)."""
        return [one.seconds for one in self.answered if since <= one.at < until]


def quantile(values: list[float], share: float) -> float:
    """0 where there is none."""
    return float(np.quantile(values, share)) if values else 0.0


class Load:
    """`running` it, users ask; `finish` waits until every report was acknowledged."""

    def __init__(self, world: World, users: int = USERS) -> None:
        self.world, self.users, self.seen = world, users, Seen()
        self._clients: list[Client] = []
        self._left: list[Client] = []
        self._reports: set[asyncio.Task[None]] = set()
        self._ended = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Seen]:
        """Until the block ends; what runs then is waited for."""
        self._clients = [Client(one.running.address, timeout_s=TIMEOUT_S) for one in self.world.replicas]
        async with asyncio.TaskGroup() as group:
            for number in range(self.users):
                group.create_task(self._user(number))
            probes = [group.create_task(self._probe(place)) for place in range(len(self.world.replicas))]
            try:
                yield self.seen
            finally:
                self._ended = True
                for probe in probes:
                    probe.cancel()

    async def finish(self, within_s: float) -> None:
        """Wait for the acknowledgements of all reports; those that are not there then stay in `seen.waiting`."""
        if self._reports:
            await asyncio.wait(self._reports, timeout=within_s)
        for task in self._reports:
            task.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
        for client in (*self._clients, *self._left):
            await client.close()

    def connect_again(self, place: int) -> None:
        """A replica that was started again has another port."""
        self._left.append(self._clients[place])  # calls to the old one may still be ending
        self._clients[place] = Client(self.world.replicas[place].running.address, timeout_s=TIMEOUT_S)

    async def _user(self, number: int) -> None:
        await asyncio.sleep(THINK_S * number / self.users)
        turn = 0
        while not self._ended:
            turn += 1
            sent, name = time.monotonic(), f"user {number}, turn {turn}"
            found = await self._ask(number, name, PLANS[turn % len(PLANS)])
            if found:
                self.seen.answered.append(Answered(sent, time.monotonic() - sent, found))
                if turn % 2:
                    task = asyncio.create_task(self._report(number, found))
                    self._reports.add(task)
                    task.add_done_callback(self._reports.discard)
            await asyncio.sleep(THINK_S)

    async def _ask(self, number: int, name: str, plan: str) -> str:
        """At this replica, and where it cannot be reached at the other one, as behind a load balancer."""
        said = ""
        for hop in range(len(self._clients)):
            client = self._clients[(number + hop) % len(self._clients)]
            try:
                reply = await client.generate(
                    f"{name}: what is {number} + 2?",
                    constraints=Constraints(plan=plan),
                    tenant=f"tenant-{number % 3}",
                )
            except ApportionError as error:
                said = f"{error.status} {error.reason}: {error.message}"[:200]
                if error.status != "UNAVAILABLE":
                    break
                self.seen.moved += 1
            else:
                return reply.decision_id
        self.seen.failed.append((time.monotonic(), said))
        return ""

    async def _report(self, number: int, decision_id: str) -> None:
        self.seen.waiting.add(decision_id)
        turn = 0
        while True:
            client, asked = self._clients[(number + turn) % len(self._clients)], time.monotonic()
            try:
                await client.report(
                    decision_id,
                    "correct",
                    number % 2 == 0,
                    key=decision_id,
                    tenant=f"tenant-{number % 3}",
                    retries=0,
                )
            except ApportionError as error:
                self.seen.refusals[f"{error.status} {error.reason}"] += 1
                turn += 1
            else:
                self.seen.waiting.discard(decision_id)
                self.seen.reported.add(decision_id)
                return
            finally:
                self.seen.report_s.append((asked, time.monotonic() - asked))
            await asyncio.sleep(min(LATEST_AGAIN_S, REPORT_AGAIN_S * 2 ** (turn - 1)))

    async def _probe(self, place: int) -> None:
        while True:
            asked = time.monotonic()
            took = float("inf")
            with suppress(OSError, TimeoutError, ValueError):
                if await health(self.world.replicas[place].running.http):
                    took = time.monotonic() - asked
            self.seen.probes.append((asked, took))
            await asyncio.sleep(PROBE_EVERY_S)


async def health(address: str, within_s: float = 5.0) -> bool:
    """Whether `GET /health` says 200. Raises `OSError` or `TimeoutError`."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in await reader.readline()
        finally:
            writer.close()

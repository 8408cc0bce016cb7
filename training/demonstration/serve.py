"""Start the real server as its own process, send it queries through the real client, report what became of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from predictors.observation import Preferences
from router.backends.recorded import QUERY_ID
from router.client import Client, Reply, Report
from training.errors import TrainingError

SIDE_BY_SIDE = 8  # queries in flight
READY = "listening "


@dataclass(frozen=True, slots=True)
class Asked:
    """One query as it is sent: the price is chosen by `weight`."""

    query_id: str
    text: str
    weight: float  # preferences.cost_weight

    @property
    def tenant(self) -> str:
        """One per price, so that the same request id is another request at another price."""
        return f"price-x{self.weight:g}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens, HOST:PORT each."""

    router: str
    admin: str


@contextmanager
def server(config: Path, log: Path) -> Iterator[str]:
    """`serving`, for callers only: yields the router's address."""
    with serving(config, log) as ports:
        yield ports.router


@contextmanager
def serving(config: Path, log: Path) -> Iterator[Ports]:
    """`apportion serve` on free ports of this machine, ended with SIGTERM.

    Raises TrainingError with the end of its log if it does not come up.
    """
    command = [
        *(sys.executable, "-m", "router", "serve", "--config", str(config)),
        *("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"),
    ]
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith(READY):
                process.wait()
                said = log.read_text("utf-8", "replace")[-2000:]
                raise TrainingError(f"demo: the server ended with code {process.returncode}: {said.strip()}")
            found = dict(part.split("=", 1) for part in line.split()[1:])
            yield Ports(found["router"], found["admin"])
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            finally:
                process.kill()  # nothing happens to one that has ended
                process.wait()
                if process.stdout:
                    process.stdout.close()


def ask_all(address: str, queries: Sequence[Asked], done: Callable[[], None]) -> list[Reply]:
    """The replies, in the queries' order; `done` is called after each."""
    return asyncio.run(_ask_all(address, queries, done))


async def _ask_all(address: str, queries: Sequence[Asked], done: Callable[[], None]) -> list[Reply]:
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def ask(client: Client, query: Asked) -> Reply:
        async with gate:
            reply = await client.generate(
                query.text,
                request_id=query.query_id,
                tenant=query.tenant,
                preferences=Preferences(cost_weight=query.weight),
                metadata={QUERY_ID: query.query_id},
                return_samples=True,
                return_probabilities=True,
            )
        done()
        return reply

    async with Client(address) as client:
        return list(await asyncio.gather(*(ask(client, query) for query in queries)))


def report_all(address: str, rewards: Sequence[tuple[Asked, Reply, float]]) -> int:
    """Report the reward of every reply; returns how many reports were committed."""
    return asyncio.run(_report_all(address, rewards))


async def _report_all(address: str, rewards: Sequence[tuple[Asked, Reply, float]]) -> int:
    reports = [
        Report("reward", reward, decision_id=reply.decision_id, source="demo", tenant=query.tenant)
        for query, reply, reward in rewards
    ]
    async with Client(address) as client:
        return (await client.report_many(reports)).committed

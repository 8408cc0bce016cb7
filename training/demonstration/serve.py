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
READY = "listening router="


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


@contextmanager
def server(config: Path, log: Path) -> Iterator[str]:
    """`apportion serve` on a free port of this machine; yields its address, and ends it with SIGTERM.

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
            yield line.removeprefix(READY).split()[0]
        finally:
            process.terminate()
            process.wait(timeout=60)
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

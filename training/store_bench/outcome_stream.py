"""Outcomes into a real service: a process, gRPC, its store; how many a second, and what survives a kill -9."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from router.client import Client, Report
from training.store_bench.made_rows import Traffic

CONFIG = """
mode = "apply"
[backends.small]
kind = "scripted"
[[plans]]
name = "small"
stages = [{{ backend = "small" }}]
[store]
sqlite = "rows.db"
ledger = ":memory:"
postgres = "{postgres}"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
max_outcomes_per_s = 1_000_000.0
"""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one stream of outcomes gave."""

    outcomes: int  # acknowledged
    seconds: float

    @property
    def per_second(self) -> float:
        """Outcomes a second, from the first to the reply after the last commit."""
        return self.outcomes / self.seconds


@contextmanager
def serving(folder: Path, postgres: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, over SQLite in `folder` or over PostgreSQL; its address."""
    config = folder / "router.toml"
    config.write_text(CONFIG.format(postgres=postgres))
    command = [sys.executable, "-m", "router", "serve", "--config", str(config), "--log", "json"]
    with (folder / "service.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 (ours)
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(
                    f"the service did not start: {(folder / 'service.log').read_text()[-2000:]}"
                )
            yield process, line.split()[1].removeprefix("router=")
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            process.stdout.close()


def reports(traffic: Traffic, first: int, count: int) -> list[Report]:
    """Outcomes of decisions, each once."""
    made = (traffic.told(n, value=n % 3 > 0) for n in range(first, first + count))
    return [
        Report("correct", told.value, told.decision_id, source="user", key=told.key, tenant=told.tenant)
        for told in made
    ]


async def stream(address: str, traffic: Traffic, first: int, count: int, streams: int = 1) -> Streamed:
    """Report `count` outcomes over `streams` client streams at once."""
    each = count // streams
    made = [reports(traffic, first + at * each, each) for at in range(streams)]
    async with Client(address, timeout_s=600.0, retries=0) as client:
        begun = time.perf_counter()
        replies = await asyncio.gather(*(client.report_many(mine) for mine in made))
        seconds = time.perf_counter() - begun
    return Streamed(sum(reply.committed for reply in replies), seconds)

"""Two replicas on one PostgreSQL server before three model servers, each a process of its own on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from router.backends.stub_process import StubProcess
from training.store_bench.postgres_server import PostgresServer
from training.suites.serving.processes import Running, served

NAMES = ("one", "two")
PACE = "4"  # 200 tokens a second and sequence, 50 ms to the first
WORDS = 16  # tokens of an answer: some 130 ms
CONFIG = """
reference = "large"
untrained = "small"

[server]
drain_s = 5.0
http_listen = "127.0.0.1:0"

[store]
postgres = "{store}"
sqlite = "decisions.db"
ledger = "{store}"
keep = "hash"

[log]
queries = "failed"

[budget]
dollars = 1000.0
window = "day"
away_share = 0.05

[backends.small]
kind = "vllm"
urls = ["{first}", "{second}"]
model = "stub"
price_in = 0.1
price_out = 0.2
max_tokens = 64
first_token_timeout_s = 2.0
timeout_s = 4.0

[backends.large]
kind = "vllm"
urls = ["{third}"]
model = "stub"
price_in = 1.0
price_out = 2.0
max_tokens = 64
first_token_timeout_s = 2.0
timeout_s = 4.0

[[plans]]
name = "small"
stages = [{{ backend = "small" }}]

[[plans]]
name = "cascade"
stages = [{{ backend = "small", stop = {{ kind = "confident", threshold = 1.0 }} }}, {{ backend = "large" }}]

[[plans]]
name = "large"
stages = [{{ backend = "large" }}]
"""


class Replica:
    """One service; `start` and `kill` as often as wanted, `close` at the end."""

    def __init__(self, folder: Path, config: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.config = folder, folder / "router.toml"
        self.config.write_text(config, "utf-8")
        self._running = ExitStack()
        self._logged = 0
        self.now: Running | None = None
        self.start()

    @property
    def running(self) -> Running:
        """It, while it runs; the last one, after its end."""
        assert self.now is not None  # noqa: S101 (made by `start`)
        return self.now

    def start(self) -> None:
        """Start it, once more after a kill: on the folder that the dead one left."""
        self._logged = self.log_bytes
        self._running.close()
        self.now = self._running.enter_context(served(self.config, f"log-{self._logged}"))

    def kill(self) -> None:
        """As a machine that fails."""
        os.kill(self.running.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._running.close()

    @property
    def log_bytes(self) -> int:
        """What it has written to its log, all starts together."""
        return sum(path.stat().st_size for path in self.folder.glob("*.log"))


@dataclass(slots=True)
class World:
    """Everything that runs."""

    postgres: PostgresServer
    store: str  # its address
    models: tuple[StubProcess, StubProcess, StubProcess]  # two of the backend `small`, one of `large`
    replicas: tuple[Replica, ...]

    def rss_mb(self) -> float:
        """Of the replicas."""
        return sum(replica.running.rss_mb() for replica in self.replicas)

    def cpu_s(self) -> float:
        """Of the replicas, so far."""
        return sum(replica.running.cpu_s() for replica in self.replicas)

    def log_bytes(self) -> int:
        """Of the replicas, so far."""
        return sum(replica.log_bytes for replica in self.replicas)


@contextmanager
def world(folder: Path, postgres: PostgresServer, name: str) -> Iterator[World]:
    """A database of its own, model servers and replicas, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "script.txt"
    script.write_text(" ".join(f"word{number}" for number in range(WORDS)) + "\n", "utf-8")
    store = postgres.address(f"chaos_{name.replace('-', '_')}")
    with ExitStack() as stack:
        arguments = ("--pace", PACE, "--script", str(script))
        first, second, third = (stack.enter_context(StubProcess(*arguments)) for _ in range(3))
        text = CONFIG.format(store=store, first=first.url, second=second.url, third=third.url)
        replicas = []
        for one in NAMES:
            replicas.append(Replica(folder / one, text))
            stack.callback(replicas[-1].stop)
        yield World(postgres, store, (first, second, third), tuple(replicas))

"""The real server as a process of its own, before stub model servers as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.backends.stub_process import StubProcess

STOPS_WITHIN_S = 30.0

CONFIG = """
reference = "large"
untrained = "small"

[server]
drain_s = 5.0

[store]
sqlite = "decisions.db"

[budget]
dollars = {dollars}

[backends.small]
kind = "vllm"
urls = ["{small}"]
model = "stub"
price_in = 0.1
price_out = 0.2
max_tokens = 256
logprobs = true
first_token_timeout_s = {patience}
timeout_s = 60.0

[backends.large]
kind = "vllm"
urls = ["{large}"]
model = "stub"
price_in = 1.0
price_out = 2.0
max_tokens = 256
first_token_timeout_s = {patience}

[[plans]]
name = "small"
stages = [{{ backend = "small" }}]

[[plans]]
name = "vote"
stages = [{{ backend = "small", max_samples = 8, width = 4, stop = {{ kind = "agreement", needed = 2 }} }}]

[[plans]]
name = "cascade"
stages = [{{ backend = "small", stop = {{ kind = "confident", threshold = 1.0 }} }}, {{ backend = "large" }}]

[[plans]]
name = "large"
stages = [{{ backend = "large" }}]
"""


class Server:
    """`apportion serve`, started and watched; `log` is what it said on standard error."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log_path = config.with_suffix(".log")
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "router",
                    "serve",
                    "--config",
                    str(config),
                    "--listen",
                    "127.0.0.1:0",
                    "--admin-listen",
                    "127.0.0.1:0",
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = re.fullmatch(r"listening router=(\S+) admin=(\S+)(?: http=\S+)?\n", self.said)
        self.router, self.admin = (found[1], found[2]) if found else ("", "")

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def kill(self) -> None:
        """As a machine that fails."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def stubs() -> Iterator[tuple[StubProcess, StubProcess]]:
    """A small and a large model: 200 tokens per second and sequence."""
    with StubProcess("--pace", "4") as small, StubProcess("--pace", "4") as large:
        yield small, large


@pytest.fixture
def serve(stubs, tmp_path):
    """Starts servers; `serve(dollars=…, patience=…)` as often as wanted, in one folder."""
    started: list[Server] = []
    small, large = stubs
    small.reset()
    large.reset()

    def start(dollars: float = 10.0, patience: float = 20.0) -> Server:
        config = tmp_path / "router.toml"
        config.write_text(CONFIG.format(small=small.url, large=large.url, dollars=dollars, patience=patience))
        server = Server(config)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def served(serve):
    """One server that listens."""
    server = serve()
    assert server.router, server.log
    return server


@pytest.fixture
def server_of() -> Iterator[Callable[[Path], Server]]:
    """Starts servers of any configuration."""
    started: list[Server] = []

    def start(config: Path) -> Server:
        started.append(Server(config))
        return started[-1]

    yield start
    for server in started:
        server.stop()

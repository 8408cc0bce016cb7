"""Starts a stub server as a process of its own and talks to it: for tests, demos and load runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from time import monotonic
from types import TracebackType
from typing import Any, Self

import msgspec

from router.errors import BackendUnavailable

STARTS_WITHIN_S = 60.0  # reading a recording of 340,000 rows takes seconds on a busy machine
STOPS_WITHIN_S = 5.0


class StubProcess:
    """`with StubProcess("--pace", "1") as stub:` gives a server on a free port of 127.0.0.1; leaving stops it."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "router.backends.stub_server", "--port", "0", *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own)
        if self._process.stdout is None:
            raise BackendUnavailable("the stub server has no standard output")
        said = self._process.stdout.readline()  # it says where it listens, or ends
        if not said.startswith("listening on "):
            self.stop()
            raise BackendUnavailable(f"the stub server did not start: {' '.join(self._arguments)}: {said!r}")
        self.url = said.split()[-1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; nothing happens to one that has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def kill(self) -> None:
        """As a machine that fails: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def state(self) -> dict[str, int]:
        """Counters: running, most_running, requests, finished, aborted, prompt_tokens, tokens, faults_left."""
        return dict(self.ask("GET", "/stub/state"))

    def requests(self) -> list[dict[str, Any]]:
        """The last requests: path and body."""
        return list(self.ask("GET", "/stub/requests"))

    def fault(self, kind: str, count: int = 1) -> None:
        """The next `count` requests fail in this way (see `stub_engine.FAULTS`)."""
        self.ask("POST", "/stub/fault", {"kind": kind, "count": count})

    def reset(self) -> None:
        """Forget counters, faults, cache and requests."""
        self.ask("POST", "/stub/reset")

    def until(self, true_of: Callable[[dict[str, int]], bool], within_s: float = 10.0) -> dict[str, int]:
        """Ask for the state until it is as wanted; return the last one seen, also when the time is over."""
        ends = monotonic() + within_s
        while True:
            state = self.state()
            if true_of(state) or monotonic() > ends:
                return state

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; the decoded JSON of a reply with status 200. Raises `BackendUnavailable` for another."""
        host, port = self.url.removeprefix("http://").split(":")
        connection = HTTPConnection(host, int(port), timeout=STARTS_WITHIN_S)
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body))
            reply = connection.getresponse()
            said = reply.read()
        finally:
            connection.close()
        if reply.status != 200:
            raise BackendUnavailable(f"stub server: {method} {path}: HTTP {reply.status}: {said[:300]!r}")
        return (
            msgspec.json.decode(said) if "json" in (reply.getheader("Content-Type") or "") else said.decode()
        )

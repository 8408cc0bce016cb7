"""`serve --workers N`: processes that share the callers' ports, and this one, which owns the store and watches them.

Every worker is a replica of its own: with leases from the shared store of budgets, with its own sequence numbers, and
following the shared notes (bundles, mode, states of backends) as replicas on other machines do. Only the decisions
have one writer: it is here, and each worker hands its rows over a socket that it was born with. A worker that ends
by itself is started again; when this process ends, however that happens, its workers end too.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from router.decisions import DecisionStore
from router.decisions.relay import Relay
from router.errors import ConfigError
from router.telemetry.front import MetricsFront
from router.telemetry.state_metrics import of_store

READY = "listening "
AGAIN_AFTER_S = 1.0  # a worker that ended
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class Port:
    """An address that several processes will listen on; held from now on, so that nobody else gets it."""

    address: str  # HOST:PORT, the port never 0
    _socket: socket.socket = field(repr=False)

    @classmethod
    def held(cls, key: str, address: str) -> Port:
        """Raises `ConfigError` where it cannot be had."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            held = socket.socket(family, socket.SOCK_STREAM)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host, int(port)))  # it does not listen: no connection comes here
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"server.{key}: cannot listen on {address}: {why}") from error
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{shown}:{held.getsockname()[1]}", held)

    def close(self) -> None:
        """Let it go."""
        self._socket.close()


@dataclass(slots=True)
class Worker:
    """One process, and what it said when it was ready."""

    process: asyncio.subprocess.Process
    said: str = ""


class Workers:
    """`run` until SIGTERM or SIGINT; every worker gets the same signal, and a second one as well."""

    def __init__(
        self,
        store: DecisionStore,
        commands: Sequence[Sequence[str]],
        on_ready: Callable[[str], None],
        metrics: MetricsFront | None = None,  # None: nothing is counted
    ) -> None:
        self.store, self._commands, self._on_ready, self.metrics = store, commands, on_ready, metrics
        self.relay = Relay(store)
        self._running: dict[int, Worker] = {}  # by number
        self._ending = False
        self._log = structlog.get_logger("router.workers")

    async def run(self) -> int:
        """Start all, tell what the first one said once all are ready, wait; 0 where all ended well."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signal, number)
        try:
            if self.metrics is not None:
                await self.metrics.start(lambda: of_store(self.store, self.relay.rows))
            await asyncio.gather(*(self._start(number) for number in range(len(self._commands))))
            if all(worker.said.startswith(READY) for worker in self._running.values()):
                self._on_ready(self._running[0].said)
            else:
                self._signal(signal.SIGTERM)
            codes = await asyncio.gather(*(self._watch(number) for number in range(len(self._commands))))
            return max(map(abs, codes))
        finally:
            if self.metrics is not None:
                await self.metrics.close()
            await self.relay.close()
            await self.store.close()
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def _start(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        counts, told = socket.socketpair()
        with theirs, told:
            ends = ["--relay", str(theirs.fileno())]
            if self.metrics is not None:
                ends += ["--counts", str(told.fileno())]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "router", *self._commands[number], *ends),
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(), told.fileno()),
                start_new_session=True,  # a terminal's interrupt comes to it once, through this process
            )
        worker = self._running[number] = Worker(process)
        if self._ending:  # the signal came while it was born
            process.terminate()
        await self.relay.serve(ours)
        if self.metrics is None:
            counts.close()
        else:
            await self.metrics.receiver.serve(counts)
        assert process.stdout is not None  # noqa: S101 (it was asked for)
        worker.said = (await process.stdout.readline()).decode().strip()

    async def _watch(self, number: int) -> int:
        while True:
            code = await self._running[number].process.wait()
            if self._ending:
                return code
            self._log.error("a worker ended and is started again", worker=number, code=code)
            await asyncio.sleep(AGAIN_AFTER_S)
            if not self._ending:
                await self._start(number)

    def _signal(self, number: int) -> None:
        self._ending = True
        for worker in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(number)

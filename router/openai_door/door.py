"""The door as a server: bind, answer, let nobody in any more, end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

from router.admission.coalescing import Coalescer
from router.admission.idempotency import Replays
from router.auth.certificates import Certificates
from router.auth.guard import Guard
from router.checks.queries import Known
from router.config import ServerConfig
from router.configuration.service import address_problem, is_loopback
from router.connections.http_log import HttpLog
from router.domain.plan import Plan
from router.errors import ConfigError
from router.openai_door.app import Routes
from router.openai_door.chat import Admission, Answers, Chats, Traces
from router.openai_door.feedback import Feedback
from router.openai_door.forwarding import Forwarding
from router.openai_door.models import Models
from router.openai_door.whole_body import Bodies
from router.reports import Reports

KEEP_ALIVE_S = 15.0  # proxies close streams that are silent for 60 s
LAST_BYTES_S = 0.5  # for replies that are being sent when the door closes
IDLE_S = 75.0  # of a kept connection: longer than the clients', so that they close first


@dataclass(frozen=True, slots=True)
class Behind:
    """What answers requests; the gRPC server's calls stand before the same."""

    answers: Answers
    plans: Iterable[Plan]  # of the menu: each is a model
    known: Known  # what requests may name
    reports: Reports
    new_id: Callable[[], str]
    forwarding: Forwarding | None = None  # None: no path is another server's
    traces: Traces | None = None  # None: nothing is traced
    coalescer: Coalescer | None = None  # None: whole replies are worked off as they come


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who may come in, and who did not."""

    admission: Admission
    guard: Guard = field(default_factory=lambda: Guard(None))  # everybody
    certificates: Certificates | None = None  # None: without TLS
    joins: Callable[[str], AbstractContextManager[None]] | None = None  # see `Replays`
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)  # (door, reason) -> requests


@dataclass(frozen=True, slots=True)
class Shown:
    """What else is served on the same port."""

    pages: Mapping[str, Handler] = field(default_factory=dict)  # GET, by path
    mounts: Mapping[str, web.Application] = field(default_factory=dict)  # by how their paths begin


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time it is, and after how much silence a stream gives a sign of life."""

    keep_alive_s: float = KEEP_ALIVE_S
    wall_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic


class Door:
    """One HTTP server over the allocator that the gRPC server has too: `start`, `go_away`, `stop`.

    Raises `ConfigError` where a plan's name stands for another choice here.
    """

    def __init__(
        self,
        config: ServerConfig,
        behind: Behind,
        entrance: Entrance,
        shown: Shown = Shown(),
        clocks: Clocks = Clocks(),
    ) -> None:
        self.config, self._certificates = config, entrance.certificates
        self.bodies = Bodies(config.max_bodies_bytes)
        wall_s, admission = clocks.wall_s, entrance.admission
        chats = Chats(
            answers=behind.answers,
            models=Models.of(behind.plans, config.models),
            known=behind.known,
            admission=admission,
            replays=Replays(config.replay_s, clocks.monotonic_s, joins=entrance.joins),
            new_id=behind.new_id,
            wall_s=wall_s,
            keep_alive_s=clocks.keep_alive_s,
            traces=behind.traces,
            coalescer=behind.coalescer,
        )
        self._forwarding = behind.forwarding
        application = Routes(
            chats,
            int(wall_s()),
            Feedback(behind.reports, admission, behind.new_id, wall_s),
            behind.forwarding,
            shown.pages,
            entrance.refused,
            entrance.guard,
        ).application(config.max_message_bytes, self.bodies)
        for path, mounted in shown.mounts.items():
            application.add_subapp(path, mounted)
        self._runner = web.AppRunner(
            application,
            handler_cancellation=True,  # a caller that leaves frees its samples at once
            access_log=None,
            logger=HttpLog(),
            keepalive_timeout=IDLE_S,
            shutdown_timeout=LAST_BYTES_S,
        )

    async def start(self, *, share_port: bool = False) -> str:
        """Bind `server.http_listen` and serve; returns the address bound. Raises `ConfigError`.

        `share_port`: with other workers of the same service.
        """
        address = self.config.http_listen
        if problem := address_problem(address):
            raise ConfigError(f"server.http_listen: {problem}")
        if not self.config.allow_remote and not is_loopback(address):
            raise ConfigError(
                f"server.http_listen: {address!r} can be reached from other machines; listen on "
                "127.0.0.1, or set server.allow_remote = true where [auth], [tls] client_ca or the network keeps "
                "strangers out"
            )
        host, _, port = address.rpartition(":")
        await self._runner.setup()
        try:
            site = web.TCPSite(
                self._runner,
                host.strip("[]"),
                int(port),
                reuse_port=share_port or None,
                ssl_context=None if self._certificates is None else self._certificates.for_http(),
            )
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"server.http_listen: cannot listen on {address}: is another server running there?"
            ) from error
        return f"{host}:{self._runner.addresses[0][1]}"

    async def go_away(self) -> None:
        """Take no new connections; those that there are go on."""
        for site in self._runner.sites:
            await site.stop()

    async def stop(self) -> None:
        """Close. Requests that still run are cancelled, which frees their backends."""
        await self._runner.cleanup()
        if self._forwarding is not None:
            await self._forwarding.close()

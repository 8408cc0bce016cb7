"""The gRPC server: two ports, health, reflection, the OpenAI door beside them, and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from router.admission.admission import Admission
from router.admission.coalescing import Coalescer
from router.admission.idempotency import Replays
from router.admission.outcome_rates import OutcomeRates
from router.admission.tenant_limits import TenantLimits, limited
from router.advising.advisor import Advisor
from router.advising.held_reservations import HeldReservations
from router.batches.batches import BatchDesk
from router.errors import ConfigError
from router.random_ids import RandomIds
from router.reports import Reports
from router.serving.admin import AdminCalls
from router.serving.advise import Advising
from router.serving.batches import AskedOfUs, BatchCalls
from router.serving.calls import Calls
from router.serving.door import Shared, door_of
from router.serving.json_admin import JsonAdmin
from router.serving.known import engines, known_names
from router.serving.listen import grpc_server, listen
from router.serving.router import QUERY_CALLS, RouterCalls
from router.serving.service import Service
from router.serving.waiting_time import WaitingTime
from router.telemetry.telemetry import Telemetry
from router.v1 import apportion_router_pb2 as pb
from router.wire.admin import PlanInfos
from router.wire.parts import ADMIN_SERVICE, ROUTER_SERVICE

KEEP_ALIVE_S = 15.0  # proxies close streams that are silent for 60 s
GO_AWAY_AFTER_S = 1.0  # of draining: time for health to be seen, before callers are told to connect elsewhere
CANCEL_S = 1.0  # for calls that were cut to free their backends and settle
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens, "host:port"."""

    router: str
    admin: str
    http: str = ""  # of the OpenAI door; "": it is not open
    metrics: str = ""  # of Prometheus' page; "": it has no port of its own
    health: str = ""  # of the port for probes; "": there is none


class Servers:
    """All servers of one process: `start`, then `stop`."""

    def __init__(
        self,
        service: Service,
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
        go_away_after_s: float = GO_AWAY_AFTER_S,
        share_ports: bool = False,  # of callers, with other workers
        counts_socket: socket.socket | None = None,  # to the process that gathers the workers' counts
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.share_ports = share_ports
        config, books = service.config.server, service.allocator.books
        self.config, self.go_away_after_s = config, go_away_after_s
        rates = OutcomeRates(config.max_outcomes_per_s, monotonic_s)
        self.reports = Reports(books.store, rates=rates, keep_of=books.settings.keep_of)
        self.refused: Counter[tuple[str, str]] = Counter()  # (door, reason) -> calls
        self.admission, self.shadows = Admission(config.max_queries), service.shadows
        self.waiting = WaitingTime(self.admission.shedding.seen, lambda: self.admission.came)
        self.renewal, self.rollout, self.loads = service.renewal, service.rollout, service.loads
        self.certificates = service.certificates
        self.allocator = service.allocator
        self.telemetry = Telemetry(
            service.config,
            books=books,
            admission=self.admission,
            reports=self.reports,
            refused=self.refused,
            shadows=service.shadows,
            version=version("apportion"),
            started_at=wall_s(),
            backends=service.allocator.backends,
            certificates=service.certificates,
            counts_socket=counts_socket,
        )
        self.health = health.aio.HealthServicer()
        held, known, new_id = HeldReservations(books), known_names(service), RandomIds()
        asked = AskedOfUs(service.answers, known, books.prices, books.store, new_id)
        self.desk = BatchDesk(service.batches, asked, books.settings.replica, wall_s)
        limits = TenantLimits(service.config.limits, monotonic_s)
        shared = Shared(
            answers=limited(service.answers, limits),
            limits=limits,
            admission=self.admission,
            reports=self.reports,
            refused=self.refused,
            telemetry=self.telemetry,
            coalescer=Coalescer(),
            new_id=new_id,
            keep_alive_s=keep_alive_s,
            wall_s=wall_s,
            monotonic_s=monotonic_s,
        )
        router_calls = RouterCalls(
            allocator=shared.answers,
            held=held,
            advising=Advising(Advisor(service.allocator, held, engines(service.config)), known, limits),
            known=known,
            prices=books.prices,
            plans=PlanInfos(books.chooser.menu.reference.name),
            replays=Replays(config.replay_s, monotonic_s, joins=limits.enter),
            max_message_bytes=config.max_message_bytes,
            wall_s=wall_s,
            reports=self.reports,
            batches=BatchCalls(self.desk, known, new_id),
            new_id=new_id,
            keep_alive_s=keep_alive_s,
        )
        admin_calls = AdminCalls(
            books=books,
            backends=service.allocator.backends,
            config=service.config,
            admission=self.admission,
            version=version("apportion"),
            started_at=wall_s(),
            reports=self.reports,
            rollout=service.rollout,
        )
        services, limit = pb.DESCRIPTOR.services_by_name, config.max_message_bytes
        trace = self.telemetry.traces.begin if self.telemetry.traces else None
        self.router = self._server(
            ROUTER_SERVICE,
            Calls(
                *(services["Router"], router_calls, limit, self.admission, QUERY_CALLS, self.refused, trace),
                guard=service.guard,
                coalescer=shared.coalescer,
            ),
        )
        guarded = Calls(services["Admin"], admin_calls, limit, guard=service.guard, operators=True)
        self.admin = self._server(ADMIN_SERVICE, guarded, shared=False)
        self.probes = self._server("", None) if config.health_listen else None
        self.json_admin = JsonAdmin(admin_calls, service.guard)
        self.door = door_of(service, shared, self.json_admin)

    def _server(self, name: str, calls: Calls | None, *, shared: bool = True) -> grpc.aio.Server:
        """Without `calls` it answers questions about health alone."""
        server = grpc_server(self.config.max_message_bytes, share_port=shared and self.share_ports)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        if calls is None:
            return server
        server.add_generic_rpc_handlers((calls.handler(),))
        names = (name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    async def start(self) -> Addresses:
        """Bind and serve. Raises `ConfigError` where an address cannot be had."""
        remote = self.config.allow_remote
        if self.renewal is not None:
            self.renewal.start()
        self.rollout.start()
        self.loads.start()
        self.admission.begin()
        self.desk.start()
        shown, config = self.certificates, self.config
        addresses = Addresses(
            listen(
                self.router,
                "listen",
                config.listen,
                allow_remote=remote,
                shared=self.share_ports,
                certificates=shown.callers,
            ),
            listen(
                self.admin, "admin_listen", config.admin_listen, allow_remote=remote, certificates=shown.admin
            ),
            metrics=await self.telemetry.start(),
        )
        if self.probes is not None:
            bound = listen(
                self.probes,
                "health_listen",
                config.health_listen,
                allow_remote=remote,
                shared=self.share_ports,
            )
            addresses = replace(addresses, health=bound)
            await self.probes.start()
        if self.door is not None:
            addresses = replace(addresses, http=await self.door.start(share_port=self.share_ports))
        self.allocator.warm()
        self.waiting.bind(self.router)
        await self.router.start()
        self.waiting.start()
        await self.admin.start()
        for name in ("", ROUTER_SERVICE, ADMIN_SERVICE):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return addresses

    async def drain(self) -> bool:
        """Say NOT_SERVING, refuse new calls, wait `drain_s` for the running ones; whether they all ended.

        Admin and health go on answering meanwhile; the callers' port closes after a second, with a GOAWAY, so that
        their next calls find another replica. Running calls do not notice. Shadow runs and batches are cut at once;
        batches go on elsewhere, or after the start.
        """
        self.admission.draining = True
        await self.desk.close()
        if self.shadows is not None:
            await self.shadows.close()
        await self.health.enter_graceful_shutdown()
        closing = asyncio.create_task(self._go_away())
        try:
            return await self.admission.drain(self.config.drain_s)
        finally:
            closing.cancel()

    async def _go_away(self) -> None:
        await asyncio.sleep(self.go_away_after_s)
        if self.door is not None:
            await self.door.go_away()
        await self.router.stop(self.config.drain_s)  # `drain` ends sooner, and `stop` cuts what is left

    async def stop(self) -> None:
        """End all servers; calls that still run are cancelled, which frees their backends and settles them."""
        self.admission.draining = True
        await self.waiting.close()
        await self.desk.close()
        door = () if self.door is None else (self.door.stop(),)
        probes = () if self.probes is None else (self.probes.stop(None),)
        grpc_ends = (self.router.stop(None), self.admin.stop(None), *probes)
        await asyncio.gather(*grpc_ends, self.telemetry.stop(), *door)
        await self.admission.drain(CANCEL_S)
        self.admission.close()
        await self.telemetry.tell_last()


def settle_memory() -> None:
    """Take what was built so far out of what is searched for garbage: a search through all of it takes 0.1 s.

    It lives to the end anyway, but for a bundle that is swapped out: that one's parts form no cycles.
    """
    gc.collect()
    gc.freeze()


async def serve(
    service: Service,
    on_ready: Callable[[Addresses], None] | None = None,
    *,
    share_ports: bool = False,
    counts_socket: socket.socket | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and close the service; a second signal cuts what still runs.

    `on_ready` is told the addresses bound. Raises `ConfigError` where an address cannot be had; the service is closed
    in every case.
    """
    try:
        servers = Servers(service, share_ports=share_ports, counts_socket=counts_socket)
    except ConfigError:
        await service.close()
        raise
    log = structlog.get_logger()
    loop = asyncio.get_running_loop()
    asked, forced = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (forced if asked.is_set() else asked).set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        addresses = await servers.start()
        settle_memory()
        bound = {name: address for name, address in asdict(addresses).items() if address}
        log.info("serving", **bound)
        if on_ready:
            on_ready(addresses)
        await asked.wait()
        log.info("draining", running=servers.admission.calls, within_s=servers.config.drain_s)
        drained = asyncio.create_task(servers.drain())
        force = asyncio.create_task(forced.wait())
        await asyncio.wait((drained, force), return_when=asyncio.FIRST_COMPLETED)
        if not (drained.done() and drained.result()):
            log.warning("calls were cut", running=servers.admission.calls)
        for task in (drained, force):
            task.cancel()
    finally:
        await servers.stop()
        await service.close()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

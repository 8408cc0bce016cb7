"""`apportion serve`: configuration, then the service, then its servers until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from msgspec.structs import replace

from router.config import Config
from router.configuration.doubts import price_doubts
from router.configuration.file import load
from router.configuration.service import address_problem, is_loopback
from router.errors import ConfigError


def serve(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path("router.toml"),
    listen: Annotated[
        str,
        typer.Option(help="HOST:PORT of the Router service; port 0: any free one. Default: server.listen."),
    ] = "",
    admin_listen: Annotated[
        str, typer.Option(help="HOST:PORT of the Admin service. Default: server.admin_listen.")
    ] = "",
    http_listen: Annotated[
        str,
        typer.Option(
            help="HOST:PORT of the OpenAI door. Default: server.http_listen; without one it is closed."
        ),
    ] = "",
    health_listen: Annotated[
        str, typer.Option(help="HOST:PORT for probes, without TLS. Default: server.health_listen.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of what was learned. Default: the configuration's bundle.")
    ] = None,
    mode: Annotated[
        Literal["bypass", "observe", "apply"] | None,
        typer.Option(
            help="How much may be decided, where no operator set it (see mode). Default: the configuration's."
        ),
    ] = None,
    log: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="Form of the log lines on standard error. Default: log.form."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the callers' ports; one more owns the store.")
    ] = 1,
    relay: Annotated[int, typer.Option(hidden=True, help="Set by the process that owns the store.")] = -1,
    counts: Annotated[int, typer.Option(hidden=True, help="The same, where it gathers metrics.")] = -1,
) -> None:
    """Answer queries until SIGTERM or SIGINT, then drain.

    When all ports listen one line is printed on standard output, `listening router=127.0.0.1:50051
    admin=127.0.0.1:50052`; `http=…` follows where the OpenAI door is open, `metrics=…` where Prometheus has a port of
    its own, `health=…` where probes have one.

    On SIGTERM new queries are refused and running ones may end within server.drain_s seconds; a second signal cuts
    them.

    With several workers the address of Admin is the first one's; what operators change reaches all, and /metrics shows
    all of them together.
    """
    chosen = overridden(
        load(config, serving=bundle is None),
        listen=listen,
        admin_listen=admin_listen,
        http_listen=http_listen,
        health_listen=health_listen,
        bundle=bundle,
        mode=mode,
    )
    from router.telemetry.logs import log_to

    log_to(sys.stderr, log or chosen.log.form)
    for doubt in () if relay >= 0 else price_doubts(chosen):  # of workers the first process says it
        structlog.get_logger().warning("a price is hardly meant so", why=doubt)
    if workers > 1:
        said = {"--config": config, "--bundle": bundle, "--mode": mode, "--log": log}
        options = [text for key, value in said.items() if value is not None for text in (key, str(value))]
        raise SystemExit(_serve_by(workers, chosen, config.parent, options))
    from router.assemble import assemble
    from router.server import Addresses
    from router.server import serve as serve_until_told

    def ready(bound: Addresses) -> None:
        more = f" http={bound.http}" if bound.http else ""
        more += f" metrics={bound.metrics}" if bound.metrics else ""
        more += f" health={bound.health}" if bound.health else ""
        typer.echo(f"listening router={bound.router} admin={bound.admin}{more}")
        sys.stdout.flush()

    if relay < 0:
        asyncio.run(serve_until_told(assemble(chosen, base=config.parent), ready))
        return
    from router.decisions.relayed import Relayed

    store = Relayed(socket.socket(fileno=relay), lambda: os.kill(os.getpid(), signal.SIGTERM))

    def ready_to_relay(bound: Addresses) -> None:
        store.begin()
        ready(bound)

    service = assemble(chosen, base=config.parent, open_store=lambda _config, _base: store)
    counts_socket = socket.socket(fileno=counts) if counts >= 0 else None
    asyncio.run(serve_until_told(service, ready_to_relay, share_ports=True, counts_socket=counts_socket))


def _serve_by(workers: int, config: Config, base: Path, options: Sequence[str]) -> int:
    """Own the store and watch the workers; the exit code. Raises `ConfigError`."""
    from router.assemble_parts import own_store
    from router.configuration.budgets import ledger_address
    from router.ledger.databases import IN_MEMORY
    from router.telemetry.front import MetricsFront
    from router.workers import Port, Workers

    if ledger_address(config) == IN_MEMORY:
        raise ConfigError(
            f"--workers {workers}: budgets would be kept in each process's memory; "
            "name a file in [store] sqlite or ledger, which the workers share"
        )
    server = config.server
    held = {"listen": Port.held("listen", server.listen)}  # until this process ends
    for key in ("http_listen", "health_listen"):
        if address := getattr(server, key):
            held[key] = Port.held(key, address)
    shared = ["serve", *options]
    for key, port in held.items():
        shared += [f"--{key.replace('_', '-')}", port.address]
    host = server.admin_listen.rpartition(":")[0]
    commands = [
        [*shared, "--admin-listen", f"{host}:0" if number else server.admin_listen]
        for number in range(workers)
    ]

    front = None
    if config.metrics.listen or config.metrics.on_door:
        from router.auth.certificates import PortCertificates

        shown = PortCertificates.of(config.tls, base, time.time, time.monotonic).callers
        front = MetricsFront(config.metrics.listen, lambda: None if shown is None else shown.for_http())

    def ready(said: str) -> None:
        typer.echo(said + (f" metrics={front.bound}" if front is not None and front.bound else ""))
        sys.stdout.flush()

    return asyncio.run(Workers(own_store(config, base), commands, ready, front).run())


def overridden(
    config: Config,
    *,
    listen: str = "",
    admin_listen: str = "",
    http_listen: str = "",
    health_listen: str = "",
    bundle: Path | None = None,
    mode: Literal["bypass", "observe", "apply"] | None = None,
) -> Config:
    """The configuration with what the command line says instead. Raises `ConfigError` naming the option."""
    server = config.server
    for option, address in (
        ("--listen", listen),
        ("--admin-listen", admin_listen),
        ("--http-listen", http_listen),
        ("--health-listen", health_listen),
    ):
        text = address_problem(address) if address else ""
        if address and not text and not server.allow_remote and not is_loopback(address):
            text = f"{address!r} can be reached from other machines; [server] allow_remote = true permits it"
        if text:
            raise ConfigError(f"{option}: {text}")
    server = replace(
        server,
        listen=listen or server.listen,
        admin_listen=admin_listen or server.admin_listen,
        http_listen=http_listen or server.http_listen,
        health_listen=health_listen or server.health_listen,
    )
    if bundle is not None and not bundle.is_dir():
        raise ConfigError(f"--bundle: there is no folder {bundle}")
    return replace(
        config,
        server=server,
        mode=mode or config.mode,
        modes=() if mode else config.modes,  # said on the command line, it is said for everybody
        bundle=str(bundle.resolve()) if bundle is not None else config.bundle,
    )

"""`apportion serve`: configuration, then the service, then its servers until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from msgspec.structs import replace

from router.config import Config
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
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of what was learned. Default: the configuration's bundle.")
    ] = None,
    mode: Annotated[
        Literal["bypass", "observe", "apply"] | None,
        typer.Option(help="How much may be decided. Default: the configuration's mode."),
    ] = None,
    log: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="Form of the log lines on standard error. Default: log.form."),
    ] = None,
) -> None:
    """Answer queries until SIGTERM or SIGINT, then drain.

    When all ports listen one line is printed on standard output:
    `listening router=127.0.0.1:50051 admin=127.0.0.1:50052`, with ` http=127.0.0.1:8080` after it where the OpenAI door
    is open, and ` metrics=127.0.0.1:9464` where Prometheus has a port of its own. On SIGTERM new queries are refused
    and running ones may end within server.drain_s seconds; a second signal cuts them.
    """
    chosen = overridden(
        load(config, serving=bundle is None),
        listen=listen,
        admin_listen=admin_listen,
        http_listen=http_listen,
        bundle=bundle,
        mode=mode,
    )
    from router.telemetry.logs import log_to

    log_to(sys.stderr, log or chosen.log.form)
    from router.assemble import assemble
    from router.server import Addresses
    from router.server import serve as serve_until_told

    def ready(bound: Addresses) -> None:
        more = f" http={bound.http}" if bound.http else ""
        more += f" metrics={bound.metrics}" if bound.metrics else ""
        typer.echo(f"listening router={bound.router} admin={bound.admin}{more}")
        sys.stdout.flush()

    service = assemble(chosen, base=config.parent)
    asyncio.run(serve_until_told(service, ready))


def overridden(
    config: Config,
    *,
    listen: str = "",
    admin_listen: str = "",
    http_listen: str = "",
    bundle: Path | None = None,
    mode: Literal["bypass", "observe", "apply"] | None = None,
) -> Config:
    """The configuration with what the command line says instead. Raises `ConfigError` naming the option."""
    server = config.server
    for option, address in (
        ("--listen", listen),
        ("--admin-listen", admin_listen),
        ("--http-listen", http_listen),
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

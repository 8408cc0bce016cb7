"""`/metrics` over HTTP: the page itself, and a port of its own for it."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry

from router.connections.http_log import HttpLog
from router.telemetry.exposition import Metrics, exposed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH = "/metrics"
LAST_BYTES_S = 0.5
MOST_ACCEPT = 1024  # characters


Ask = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Page and content type for an `Accept`; raises `TimeoutError` or `ConnectionError` where there is none to be had."""


def page_of(metrics: Metrics) -> Ask:
    """The page of this process; what is behind it is read anew each time."""
    registry: CollectorRegistry = metrics.registry()

    async def ask(accept: str) -> tuple[bytes, str]:
        return exposed(registry, accept)

    return ask


class MetricsPage:
    """Answers a scrape."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def handle(self, request: web.Request) -> web.Response:
        """The page in the format that the scraper takes."""
        try:
            body, content_type = await self._ask(request.headers.get("Accept", "")[:MOST_ACCEPT])
        except (TimeoutError, ConnectionError):
            return web.Response(status=503, text="the process that gathers the metrics does not answer")
        return web.Response(body=body, headers={"Content-Type": content_type})


class MetricsPort:
    """A server for the page alone: `start`, `stop`."""

    def __init__(self, page: MetricsPage) -> None:
        app = web.Application()
        app.add_routes([web.get(PATH, page.handle)])
        self._runner = web.AppRunner(app, access_log=None, logger=HttpLog(), shutdown_timeout=LAST_BYTES_S)

    async def start(self, address: str, tls: ssl.SSLContext | None = None) -> str:
        """Bind and serve; returns the address bound. Raises `OSError` where it cannot be had."""
        host, _, port = address.rpartition(":")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=tls).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return f"{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close."""
        await self._runner.cleanup()

"""What is switched on, put together: made, started and stopped with the servers of the process."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Mapping

from router.allocation.books import Books
from router.auth.certificates import PortCertificates
from router.config import Config
from router.errors import ConfigError
from router.reports import Reports
from router.shadow import Shadows
from router.telemetry.decision_metrics import DecisionMetrics
from router.telemetry.endpoint import PATH, Handler, MetricsPage, MetricsPort, page_of
from router.telemetry.exposition import Metrics
from router.telemetry.logs import query_log
from router.telemetry.outcome_metrics import OutcomeMetrics
from router.telemetry.state_metrics import Running, StateMetrics
from router.telemetry.traces import Traces
from router.telemetry.worker_link import CountsSender


class Telemetry:
    """Looks on where the configuration wants it; else it is nothing but this object."""

    def __init__(
        self,
        config: Config,
        *,
        books: Books,
        admission: Running,
        reports: Reports,
        refused: Mapping[tuple[str, str], int],
        shadows: Shadows | None,
        version: str,
        started_at: float,  # seconds since the epoch
        backends: Mapping[str, object],
        certificates: PortCertificates,
        counts_socket: socket.socket
        | None = None,  # of a worker, whose counts stand on one page with the others'
    ) -> None:
        self.traces = _traces(config, version, books.settings.replica)
        if self.traces is not None:
            books.onlookers.append(self.traces.seen)
        if (write := query_log(config.log.queries)) is not None:
            books.onlookers.append(write)
        self._listen, self._on_door = config.metrics.listen, config.metrics.on_door
        self._certificates = certificates.callers
        self.page: MetricsPage | None = None
        self._sender: CountsSender | None = None
        self._port: MetricsPort | None = None
        if config.metrics.listen or config.metrics.on_door or counts_socket is not None:
            state = StateMetrics(
                books,
                admission,
                version,
                started_at,
                shadows,
                refused,
                self.traces.counts if self.traces else dict,
                backends,
                certificates,
            )
            metrics = Metrics(DecisionMetrics(config.metrics.tenants), OutcomeMetrics(), state)
            books.onlookers.append(metrics.seen)
            reports.onlookers.append(metrics.outcomes.reported)
            if counts_socket is None:
                self.page = MetricsPage(page_of(metrics))
            else:
                self._sender = CountsSender(counts_socket, metrics)
                self.page = MetricsPage(self._sender.page)

    @property
    def pages(self) -> Mapping[str, Handler]:
        """What the OpenAI door shows besides its own, by path."""
        if self.page is None or not self._on_door:
            return {}
        return {PATH: self.page.handle}

    async def start(self) -> str:
        """Open the port of the metrics, if there is to be one; the address bound. Raises `ConfigError`."""
        if self._sender is not None:
            await self._sender.start()
        if self.page is None or not self._listen or self._sender is not None:
            return ""
        port = MetricsPort(self.page)
        try:
            tls = None if self._certificates is None else self._certificates.for_http()
            bound = await port.start(self._listen, tls)
        except OSError as error:
            raise ConfigError(
                f"metrics.listen: cannot listen on {self._listen}: is another server running there?"
            ) from error
        self._port = port
        return bound

    async def tell_last(self) -> None:
        """Nothing is counted any more."""
        if self._sender is not None:
            await self._sender.stop()

    async def stop(self) -> None:
        """Close the port, send what spans there are."""
        if self._port is not None:
            await self._port.stop()
            self._port = None
        if self.traces is not None:
            traces, self.traces = self.traces, None
            await asyncio.to_thread(traces.close)


def _traces(config: Config, version: str, replica: str) -> Traces | None:
    tracing = config.tracing
    if not tracing.endpoint:
        return None
    try:
        from router.telemetry.spans import OTLP, Model
    except ImportError as error:
        raise ConfigError(
            "tracing.endpoint is set, and OpenTelemetry is not installed: pip install '.[otel]' in the checkout"
        ) from error
    models = {name: Model(one.model or name, one.kind) for name, one in config.backends.items()}
    return Traces(
        OTLP.to(tracing.endpoint, models, version, replica), tracing.share, lambda: uuid.uuid4().hex
    )

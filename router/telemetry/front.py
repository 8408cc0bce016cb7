"""Where the counts of all workers are shown: by the process that owns the workers, on the port of the metrics."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from router.errors import ConfigError
from router.telemetry.accumulators import Read
from router.telemetry.endpoint import MetricsPage, MetricsPort
from router.telemetry.worker_link import CountsReceiver


class MetricsFront:
    """`start` before the workers, `close` after them."""

    def __init__(self, listen: str, tls: Callable[[], ssl.SSLContext | None]) -> None:
        """`listen`: HOST:PORT; "": the page is shown by workers' doors alone."""
        self._listen, self._tls = listen, tls
        self._port: MetricsPort | None = None
        self.bound = ""  # the address, once it listens
        self.receiver = CountsReceiver(dict)

    async def start(self, own: Callable[[], dict[str, Read]]) -> None:
        """Listen; `own`: what this process says itself. Raises `ConfigError`."""
        self.receiver.merged.own = own
        if not self._listen:
            return
        port = MetricsPort(MetricsPage(self.receiver.page))
        try:
            self.bound = await port.start(self._listen, self._tls())
        except OSError as error:
            raise ConfigError(
                f"metrics.listen: cannot listen on {self._listen}: is another server running there?"
            ) from error
        self._port = port

    async def close(self) -> None:
        """Show and hear nothing any more."""
        if self._port is not None:
            await self._port.stop()
        await self.receiver.close()

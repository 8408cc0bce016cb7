"""The certificate that new connections are shown: it follows its files while the service serves.

With a handshake, once a second at most, the files are looked at. Where they changed and still fit, the next connection
is shown the new certificate; those that there are stay. Where they do not fit (half of a rotation is written, or what
is new is over already) that is reported, and what held before goes on to hold.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from router.auth.certificate_files import CertificateFiles, Pair, admin_files_of, files_of, read_pair
from router.auth.followed import LOOK_S, Stamp, stamp
from router.config_access import TlsConfig
from router.errors import ConfigError


class Certificates:
    """Of one kind of port. Handshakes of gRPC ask from threads of its own."""

    def __init__(
        self,
        files: CertificateFiles,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files. Raises `ConfigError`."""
        self._files, self._wall_s, self._monotonic_s = files, wall_s, monotonic_s
        self._stamps = self._refused = self._seen()
        self._pair = read_pair(files, wall_s())
        self._look_at = monotonic_s() + LOOK_S
        self._lock = threading.Lock()

    @property
    def until(self) -> float:
        """When what is shown now ends, seconds since the epoch."""
        return self._pair.until

    def now(self) -> Pair:
        """What a new connection is shown."""
        with self._lock:
            self._follow()
            return self._pair

    def for_http(self) -> ssl.SSLContext:
        """What an HTTP server is started with."""
        first = read_pair(self._files, self._wall_s()).context

        def named(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self.now().context

        first.sni_callback = named
        return first

    def _follow(self) -> None:
        now = self._monotonic_s()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        stamps = self._seen()
        if stamps == self._stamps:
            return
        log = structlog.get_logger("router.auth")
        try:
            pair = read_pair(self._files, self._wall_s())
        except ConfigError as error:  # tried again with the next look: its time may begin
            if stamps != self._refused:
                log.error(  # noqa: TRY400 (the message names the place; a traceback says nothing more)
                    "the new certificate cannot be shown; what held before holds", error=str(error)
                )
            self._refused = stamps
            return
        if self._seen() != stamps:  # still being written: the next look has all of it
            return
        self._stamps, self._pair = stamps, pair
        log.warning("a new certificate is shown", certificate=str(self._files.certificate), until=pair.until)

    def _seen(self) -> tuple[Stamp, ...]:
        files = self._files
        return stamp(files.certificate), stamp(files.key), stamp(files.client_ca)


@dataclass(frozen=True, slots=True)
class PortCertificates:
    """What the ports show; None: they speak without TLS."""

    callers: Certificates | None = None  # gRPC, the HTTP door, metrics
    admin: Certificates | None = None

    @classmethod
    def of(
        cls, config: TlsConfig, folder: Path, wall_s: Callable[[], float], monotonic_s: Callable[[], float]
    ) -> PortCertificates:
        """Those of a configuration; its paths are relative to `folder`. Raises `ConfigError`."""
        callers, admin = files_of(config, folder), admin_files_of(config, folder)
        if callers is None or admin is None:
            return cls()
        one = Certificates(callers, wall_s, monotonic_s)
        return cls(one, one if admin == callers else Certificates(admin, wall_s, monotonic_s))

"""A certificate, its key and the authorities of callers, read from their files and refused where they do not fit."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from router.config_access import TlsConfig
from router.errors import ConfigError

if TYPE_CHECKING:  # OpenSSL's bindings, imported where there is a certificate
    from cryptography.x509 import Certificate

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where they are, all PEM."""

    certificate: Path  # the service's own, then those between it and the authority
    key: Path
    client_ca: Path | None = None  # authorities of callers; None: callers need no certificate


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate that may be served, with its key."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    until: float  # seconds since the epoch; the first of its chain that ends
    context: ssl.SSLContext = field(repr=False)  # of a server


def files_of(config: TlsConfig, folder: Path) -> CertificateFiles | None:
    """Those of the callers' ports; None: there is no TLS."""
    return _files(folder, config.certificate, config.key, config.client_ca)


def admin_files_of(config: TlsConfig, folder: Path) -> CertificateFiles | None:
    """Those of the Admin port."""
    own = config.admin
    return _files(
        folder,
        own.certificate or config.certificate,
        own.key or config.key,
        own.client_ca or config.client_ca,
    )


def read_pair(files: CertificateFiles, now_s: float) -> Pair:
    """Read and check them; `now_s` since the epoch. Raises `ConfigError` naming the file."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    certificate, key = _bytes(files.certificate), _bytes(files.key)
    chain = _parsed(files.certificate, "a certificate", x509.load_pem_x509_certificates, certificate)
    try:
        private = _parsed(files.key, "a key", lambda data: load_pem_private_key(data, None), key)
    except TypeError:
        raise ConfigError(
            f"{files.key}: the key has a password; wants one without, in a safe place"
        ) from None
    public = _parsed(files.certificate, "a certificate", lambda _: chain[0].public_key(), certificate)
    if private.public_key() != public:
        raise ConfigError(f"{files.key}: is not the key of {files.certificate} ({_name(chain[0])})")
    for one in chain:
        _check_time(files.certificate, one, now_s)
    client_ca = None
    if files.client_ca is not None:
        text = _bytes(files.client_ca)
        authorities = _parsed(files.client_ca, "a certificate", x509.load_pem_x509_certificates, text)
        if not any(_holds(one, now_s) for one in authorities):
            _check_time(files.client_ca, authorities[0], now_s)
        # what stands between is left out
        client_ca = b"".join(one.public_bytes(Encoding.PEM) for one in authorities)
    until = min(one.not_valid_after_utc.timestamp() for one in chain)
    return Pair(certificate, key, client_ca, until, _context(files, client_ca))


def _files(folder: Path, certificate: str, key: str, client_ca: str) -> CertificateFiles | None:
    if not certificate or not key:
        return None
    return CertificateFiles(folder / certificate, folder / key, folder / client_ca if client_ca else None)


def _context(files: CertificateFiles, client_ca: bytes | None) -> ssl.SSLContext:
    """What an HTTP server speaks TLS with. No session is resumed: each caller shows its certificate anew."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{files.certificate}: TLS does not take it: {error}") from error
    return context


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parsed(path: Path, what: str, parse: Callable[[bytes], Read], data: bytes) -> Read:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return parse(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        begins = f"-----BEGIN {'CERTIFICATE' if what == 'a certificate' else 'PRIVATE KEY'}-----"
        raise ConfigError(f"{path}: is not {what} in PEM (which begins with {begins!r})") from error


def _check_time(path: Path, one: Certificate, now_s: float) -> None:
    if _holds(one, now_s):
        return
    late = one.not_valid_after_utc.timestamp() <= now_s
    when = one.not_valid_after_utc if late else one.not_valid_before_utc
    word = "is over since" if late else "begins only at"
    now = datetime.fromtimestamp(now_s, UTC)
    raise ConfigError(
        f"{path}: the time of {_name(one)} {word} {when:%Y-%m-%d %H:%M} UTC (it is {now:%Y-%m-%d %H:%M})"
    )


def _holds(one: Certificate, now_s: float) -> bool:
    return one.not_valid_before_utc.timestamp() <= now_s < one.not_valid_after_utc.timestamp()


def _name(one: Certificate) -> str:
    return one.subject.rfc4514_string() or f"serial number {one.serial_number:x}"

"""Which addresses the service may listen on, and what is shown there: the loopback's, unless more is allowed."""

from __future__ import annotations

import errno
import socket

import grpc

from router.auth.certificate_files import Pair
from router.auth.certificates import Certificates
from router.configuration.service import is_loopback
from router.errors import ConfigError
from router.wire.parts import GRPC_MARGIN_BYTES

MOST_PENDING = 20_000  # calls that have arrived and were not looked at yet
LONGEST_WAIT_S = 5  # of them; gRPC ends the others as CANCELLED, at hardly any cost (its default is 30 s)


def grpc_server(max_message_bytes: int, *, share_port: bool = False) -> grpc.aio.Server:
    """A server whose own size limit leaves the word to ours; it shares its port with other workers, or with nobody."""
    limit = min(max_message_bytes + GRPC_MARGIN_BYTES, 2**31 - 1)  # gRPC counts in int32
    return grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", limit),
            # above 1,000 gRPC itself would end some, as CANCELLED; how many are too many is our admission's to say
            ("grpc.server.max_pending_requests", MOST_PENDING),
            ("grpc.server.max_pending_requests_hard_limit", MOST_PENDING),
            ("grpc.server_max_unrequested_time_in_server", LONGEST_WAIT_S),
            ("grpc.so_reuseport", int(share_port)),  # two services on one port must fail, not share it
        )
    )


def listen(
    server: grpc.aio.Server,
    key: str,
    address: str,
    *,
    allow_remote: bool,
    shared: bool = False,  # with other workers
    certificates: Certificates | None = None,  # None: without TLS
) -> str:
    """Bind `address` ("host:port"; port 0: any) and return what was bound; `key` names it in messages.

    Raises `ConfigError`.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(
            f'server.{key}: {address!r} is no address; write "127.0.0.1:50051" or "[::1]:50051"'
        )
    if not allow_remote and not is_loopback(address):
        raise ConfigError(
            f"server.{key}: {address!r} can be reached from other machines; "
            "listen on 127.0.0.1, or set server.allow_remote = true where [auth], [tls] client_ca or the network keeps "
            "strangers out"
        )
    _check_free(key, address, shared=shared)
    try:
        if certificates is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials(certificates))
    except RuntimeError as error:
        raise ConfigError(
            f"server.{key}: cannot listen on {address}: is another server running there?"
        ) from error
    return f"{host}:{bound}"


def _check_free(key: str, address: str, *, shared: bool) -> None:
    """Try the address before gRPC does, which would say in lines of its own why it failed. Raises `ConfigError`."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does: after a restart, too
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            tried.bind(place)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is another server running there?" if taken else error.strerror or str(error)
        raise ConfigError(f"server.{key}: cannot listen on {address}: {why}") from error


def credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """What a port is added with: new connections are shown the pair of now.

    Whether callers need a certificate is said once; which authorities are theirs may change.
    """
    given = certificates.now()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        pair = certificates.now()
        if pair is given:
            return None
        given = pair
        return _configuration(pair)

    # The stub does not know that None stands for what was given before.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        changed,  # type: ignore[arg-type]
        given.client_ca is not None,
    )


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)], pair.client_ca)

"""Which addresses the service may listen on: the loopback's, until callers can be told apart."""

from __future__ import annotations

import grpc

from router.configuration.service import is_loopback
from router.errors import ConfigError
from router.wire.parts import GRPC_MARGIN_BYTES


def grpc_server(max_message_bytes: int, *, share_port: bool = False) -> grpc.aio.Server:
    """A server whose own size limit leaves the word to ours; it shares its port with other workers, or with nobody."""
    limit = min(max_message_bytes + GRPC_MARGIN_BYTES, 2**31 - 1)  # gRPC counts in int32
    return grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", limit),
            ("grpc.so_reuseport", int(share_port)),  # two services on one port must fail, not share it
        )
    )


def listen(server: grpc.aio.Server, key: str, address: str, *, allow_remote: bool) -> str:
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
            f"server.{key}: {address!r} can be reached from other machines, and callers are not authenticated; "
            "listen on 127.0.0.1, or set server.allow_remote = true where the network keeps strangers out"
        )
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(
            f"server.{key}: cannot listen on {address}: is another server running there?"
        ) from error
    return f"{host}:{bound}"

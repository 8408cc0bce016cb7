"""How a client reaches the service: channel options, sizes, and the service config for clients of other languages."""

from __future__ import annotations

import json
from collections.abc import Sequence

import grpc

from router.clients.bearer import signed, signed_channel
from router.clients.request import MAX_MESSAGE_BYTES
from router.clients.tls import TLS
from router.wire.parts import ADMIN_SERVICE, GRPC_MARGIN_BYTES, ROUTER_SERVICE

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_ADMIN_TARGET = "127.0.0.1:50052"
DEFAULT_TIMEOUT_S = 120.0  # a long answer of a reasoning model
DEFAULT_RETRIES = 3

SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": ROUTER_SERVICE}, {"service": ADMIN_SERVICE}],
                "timeout": f"{DEFAULT_TIMEOUT_S:g}s",
                "maxRequestMessageBytes": MAX_MESSAGE_BYTES,
                "maxResponseMessageBytes": MAX_MESSAGE_BYTES,
                "retryPolicy": {
                    "maxAttempts": DEFAULT_RETRIES + 1,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""gRPC's service config: deadline, sizes and retries, for clients that are not ours. Send a request id with it."""


def options() -> Sequence[tuple[str, str | int]]:
    """Of our own channels. gRPC's retries are off: ours know what the service asked for, and count as `retries`."""
    limit = MAX_MESSAGE_BYTES + GRPC_MARGIN_BYTES
    return (
        ("grpc.max_send_message_length", limit),
        ("grpc.max_receive_message_length", limit),
        ("grpc.enable_retries", 0),
    )


def aio_channel(target: str, token: str, tls: TLS | None) -> grpc.aio.Channel:
    """A connection for asyncio whose calls carry the token; None: without TLS."""
    if tls is None:
        return grpc.aio.insecure_channel(target, options=options(), interceptors=signed(token))
    return grpc.aio.secure_channel(
        target, tls.credentials(), options=(*options(), *tls.options()), interceptors=signed(token)
    )


def blocking_channel(target: str, token: str, tls: TLS | None) -> grpc.Channel:
    """The same for threads."""
    if tls is None:
        return signed_channel(grpc.insecure_channel(target, options=options()), token)
    channel = grpc.secure_channel(target, tls.credentials(), options=(*options(), *tls.options()))
    return signed_channel(channel, token)

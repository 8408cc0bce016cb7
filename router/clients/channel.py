"""How a client reaches the service: channel options, sizes, and the service config for clients of other languages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from router.clients.request import MAX_MESSAGE_BYTES
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

"""How a client reaches the service: channel options, sizes, and the service config for clients of other languages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from router.clients.bearer import signed, signed_channel
from router.clients.request import MAX_MESSAGE_BYTES
from router.clients.tls import TLS
from router.wire.parts import ADMIN_SERVICE, GRPC_MARGIN_BYTES, ROUTER_SERVICE

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_ADMIN_TARGET = "127.0.0.1:50052"
DEFAULT_TIMEOUT_S = 120.0  # a long answer of a reasoning model
DEFAULT_RETRIES = 3
RECONNECT_MS = 2000  # at most; gRPC's two minutes would keep callers away from a service that is back

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
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS),
    )


class AioStub:
    """A service's calls over asyncio, on a connection that each event loop opens with its first call.

    gRPC's connections belong to one loop; so a client may be made before there is one, and outlive it.
    """

    def __init__(
        self, stub: Callable[[grpc.aio.Channel], Any], target: str, token: str, tls: TLS | None
    ) -> None:
        self._stub, self._target, self._token, self._tls = stub, target, token, tls
        self._credentials = None if tls is None else tls.credentials()
        self._open: dict[asyncio.AbstractEventLoop, tuple[grpc.aio.Channel, Any]] = {}

    def __getattr__(self, call: str) -> Any:
        return getattr(self._here()[1], call)

    async def close(self) -> None:
        """Close this loop's connection; calls that run are cancelled, later ones fail."""
        await self._here()[0].close()

    def _here(self) -> tuple[grpc.aio.Channel, Any]:
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            self._open = {other: kept for other, kept in self._open.items() if not other.is_closed()}
            channel = self._channel()
            self._open[loop] = channel, self._stub(channel)
        return self._open[loop]

    def _channel(self) -> grpc.aio.Channel:
        signers = signed(self._token)
        if self._tls is None or self._credentials is None:
            return grpc.aio.insecure_channel(self._target, options=options(), interceptors=signers)
        return grpc.aio.secure_channel(
            self._target,
            self._credentials,
            options=(*options(), *self._tls.options()),
            interceptors=signers,
        )


def blocking_channel(target: str, token: str, tls: TLS | None) -> grpc.Channel:
    """A connection for threads whose calls carry the token; None: without TLS."""
    if tls is None:
        return signed_channel(grpc.insecure_channel(target, options=options()), token)
    channel = grpc.secure_channel(target, tls.credentials(), options=(*options(), *tls.options()))
    return signed_channel(channel, token)

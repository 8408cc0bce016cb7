"""Puts a token on every call of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

KEY = "authorization"


class _Signer:
    def __init__(self, token: str) -> None:
        self._said = (KEY, f"Bearer {token}")

    def _signed(self, details: Any) -> Any:
        kept = [pair for pair in details.metadata or () if pair[0] != KEY]
        return grpc.aio.ClientCallDetails(
            details.method,
            details.timeout,
            grpc.aio.Metadata(*kept, self._said),
            details.credentials,
            details.wait_for_ready,
        )


class _UnaryUnary(_Signer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._signed(client_call_details), request)


class _UnaryStream(_Signer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._signed(client_call_details), request)


class _StreamUnary(_Signer, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request_iterator)


class _StreamStream(_Signer, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._signed(client_call_details), request_iterator)


class _Blocking(
    _Signer,
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._with(client_call_details), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._with(client_call_details), request_iterator)

    def _with(self, details: Any) -> Any:
        return _Details(self._signed(details))


class _Details(grpc.ClientCallDetails):
    """The same for a channel of threads, which wants plain pairs."""

    def __init__(self, signed: Any) -> None:
        self.method, self.timeout = signed.method, signed.timeout
        self.metadata = tuple(signed.metadata)
        self.credentials, self.wait_for_ready = signed.credentials, signed.wait_for_ready
        self.compression = None


def signed(token: str) -> Sequence[Any]:
    """Interceptors for an asyncio channel; none for an empty token."""
    kinds = (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)
    return [kind(token) for kind in kinds] if token else []


def signed_channel(channel: grpc.Channel, token: str) -> grpc.Channel:
    """A channel for threads whose calls carry the token."""
    return grpc.intercept_channel(channel, _Blocking(token)) if token else channel

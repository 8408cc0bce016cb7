"""The Admin calls as JSON: the same methods, reached by their name, for pages that speak no gRPC.

Keys are the wire's own field names; fields that are not set are left out of requests, and all are there in replies but
those that may be absent. 64-bit integers are strings, times RFC 3339, durations like "1.5s", as protobuf's JSON says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import msgspec
import structlog
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from router.auth.guard import Guard
from router.errors import InvalidQuery, NotBuilt, RouterError, UnknownName
from router.serving.admin import AdminCalls
from router.serving.calls import Call, snake
from router.v1 import apportion_router_pb2 as pb
from router.wire.errors import INTERNAL_MESSAGE, refusal

SERVICE = pb.DESCRIPTOR.services_by_name["Admin"]

# As google.rpc maps them; every other one is 500.
HTTP_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


@dataclass(frozen=True, slots=True)
class JsonAdmin:
    """Calls with one reply; streams are gRPC's alone."""

    admin: AdminCalls
    guard: Guard = field(default_factory=lambda: Guard(None))
    names: tuple[str, ...] = field(
        default=tuple(method.name for method in SERVICE.methods if not method.server_streaming)
    )

    async def __call__(self, name: str, body: bytes, authorization: str = "") -> tuple[int, bytes]:
        """An HTTP status, and the reply or `{"code", "message"}`; never raises."""
        try:
            if name not in self.names:
                raise UnknownName("call", name, self.names)
            self.guard.operator(authorization)
            request = read(name, body)
            method: Any = getattr(self.admin, snake(name), None)
            if method is None:
                raise NotBuilt(f"{name} is part of the wire, and this version does not serve it")
            reply = await method(request, Call())
            # a page of rows takes tens of milliseconds, which are not the event loop's to give
            return 200, await asyncio.to_thread(written, reply)
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
            return refused(name, error)


def refused(name: str, error: Exception) -> tuple[int, bytes]:
    """What is told of a call that failed; what is not of our tree is logged, and says nothing about itself."""
    if not isinstance(error, RouterError):
        structlog.get_logger().error(INTERNAL_MESSAGE, call=name, exc_info=error, error=repr(error))
    told = refusal(error)
    body = msgspec.json.encode({"code": told.code.name, "message": told.message})
    return HTTP_STATUSES.get(told.code, 500), body


def read(name: str, body: bytes) -> Message:
    """The request of a call. Raises `InvalidQuery`."""
    kind = GetMessageClass(SERVICE.methods_by_name[name].input_type)
    try:
        return json_format.Parse(body or b"{}", kind())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidQuery("request", str(error)[:200], f"JSON of {kind.DESCRIPTOR.name}") from error


def written(reply: Message) -> bytes:
    """A reply as JSON; numbers that are 0 are there, what may be absent is not."""
    return json_format.MessageToJson(
        reply, indent=None, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    ).encode()

"""A service's calls as gRPC handlers over raw bytes: our size check speaks first, and every error has details.

The table of calls is the service's own descriptor: a call without a method (`GenerateStream` -> `generate_stream`)
answers UNIMPLEMENTED with a sentence.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from router.admission.admission import Admission
from router.admission.coalescing import Coalescer
from router.auth.guard import Guard, own_tenant
from router.auth.identity import Identity
from router.domain.query_trace import Trace
from router.errors import DeadlineExceeded, InvalidQuery, NotBuilt, RouterError
from router.wire.errors import INTERNAL_MESSAGE, refusal
from router.wire.parts import DECISION_ID_TRAILER

Context = grpc.aio.ServicerContext[bytes, bytes]
Parse = Callable[[bytes], Any]
Send = Callable[[Message], Awaitable[None]]
Reply = Message | bytes

OPENING_S = 10.0  # a stream that begins with a query and does not send it is not waited for


@dataclass(slots=True)
class Call:
    """One running call: what the caller's metadata say, and what goes into its trailers."""

    time_left_s: float | None = None  # until the caller's deadline
    decision_id: str = ""
    trace: Trace | None = None  # None: it is not traced
    caller: Identity | None = None  # None: callers are not asked who they are

    @property
    def tenant(self) -> str | None:
        """Whose things the caller may see and change; None: everybody's."""
        return None if self.caller is None else self.caller.tenant


@dataclass(frozen=True, slots=True)
class Calls:
    """How the calls of one service are handled."""

    service: ServiceDescriptor
    methods: object  # has a coroutine per served call
    max_message_bytes: int
    admission: Admission | None = None  # None: also while draining, and without limit
    queries: frozenset[str] = frozenset()  # calls that count against the limit
    # (door, reason) -> calls that ended so
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    # the trace of a `traceparent` ("": none came); None: nothing is traced
    trace: Callable[[str], Trace | None] | None = None
    guard: Guard | None = None  # None: everybody may call
    operators: bool = False  # only they may
    coalescer: Coalescer | None = None  # None: unary queries are worked off as they come

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        handlers = {method.name: self._handler(method) for method in self.service.methods}
        return grpc.method_handlers_generic_handler(self.service.full_name, handlers)

    def _handler(self, call: MethodDescriptor) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = getattr(self.methods, snake(call.name), None)
        if method is None:
            method = _not_built(f"{self.service.full_name}/{call.name}")
        parse = self._parser(call)
        if call.client_streaming and call.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream_both(call, method, parse))
        if call.client_streaming:
            return grpc.stream_unary_rpc_method_handler(self._stream_in(call, method, parse))
        if call.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream_out(call, method, parse))
        return grpc.unary_unary_rpc_method_handler(self._unary(call, method, parse))

    def _unary(self, call: MethodDescriptor, method: Any, parse: Parse) -> Any:
        coalescer = self.coalescer if call.name in self.queries else None

        async def handle(raw: bytes, context: Context) -> bytes:
            running, others = self._begun(call, context), False
            try:
                running.caller = self._who(context)
                if coalescer is not None:
                    others = await coalescer.take()
                with self._admit(call, raw, parse):
                    running.time_left_s = time_left(context)
                    reply = self._encoded(await method(owned(parse(raw), running.caller), running))
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
                self._count(error)
                await refuse(context, error, running, call.full_name)
            set_trailers(context, running)
            if others:
                await asyncio.sleep(0)  # they decide before the first reply is sent
            return reply

        return handle

    def _stream_out(self, call: MethodDescriptor, method: Any, parse: Parse) -> Any:
        async def handle(raw: bytes, context: Context) -> None:
            running = self._begun(call, context)

            async def send(event: Message) -> None:
                await write(context, self._encoded(event))

            try:
                running.caller = self._who(context)
                with self._admit(call, raw, parse):
                    running.time_left_s = time_left(context)
                    await method(owned(parse(raw), running.caller), running, send)
            except Exception as error:  # noqa: BLE001 (as above)
                self._count(error)
                await refuse(context, error, running, call.full_name)
            set_trailers(context, running)

        return handle

    def _stream_in(self, call: MethodDescriptor, method: Any, parse: Parse) -> Any:
        async def handle(raws: AsyncIterator[bytes], context: Context) -> bytes:
            running = Call()
            try:
                running.caller = self._who(context)
                with self._admit(call):
                    running.time_left_s = time_left(context)
                    messages = parsed(raws, lambda raw: owned(parse(raw), running.caller))
                    reply = self._encoded(await method(messages, running))
            except Exception as error:  # noqa: BLE001 (as above)
                self._count(error)
                await refuse(context, error, running, call.full_name)
            set_trailers(context, running)
            return reply

        return handle

    def _stream_both(self, call: MethodDescriptor, method: Any, parse: Parse) -> Any:
        async def handle(raws: AsyncIterator[bytes], context: Context) -> None:
            running = self._begun(call, context)

            async def send(reply: Message) -> None:
                await write(context, self._encoded(reply))

            try:
                running.caller = self._who(context)
                opening = await self._opening(call, raws)
                with self._admit(call, opening, parse):
                    running.time_left_s = time_left(context)
                    raws = raws if opening is None else begun(opening, raws)
                    messages = parsed(raws, lambda raw: owned(parse(raw), running.caller))
                    await method(messages, running, send)
            except Exception as error:  # noqa: BLE001 (as above)
                self._count(error)
                await refuse(context, error, running, call.full_name)
            set_trailers(context, running)

        return handle

    def _who(self, context: Context) -> Identity | None:
        """Who calls. Raises `Unauthenticated` or `Forbidden`."""
        if self.guard is None or not self.guard.on:
            return None
        said = dict(context.invocation_metadata() or ()).get("authorization", "")
        said = said if isinstance(said, str) else ""
        if self.operators:
            self.guard.operator(said)
            return None  # of all tenants
        return self.guard.caller(said)

    def _begun(self, call: MethodDescriptor, context: Context) -> Call:
        if self.trace is None or call.name not in self.queries:
            return Call()
        sent = dict(context.invocation_metadata() or ()).get("traceparent", "")
        return Call(trace=self.trace(sent if isinstance(sent, str) else ""))

    def _count(self, error: Exception) -> None:
        self.refused["grpc", getattr(error, "reason", RouterError.reason)] += 1

    def _admit(
        self, call: MethodDescriptor, raw: bytes | None = None, parse: Parse = bytes
    ) -> AbstractContextManager[None]:
        if self.admission is None:
            return nullcontext()
        query = call.name in self.queries
        return self.admission.enter(query=query, urgent=lambda: raw is not None and is_urgent(raw, parse))

    async def _opening(self, call: MethodDescriptor, raws: AsyncIterator[bytes]) -> bytes | None:
        """The first message of a query's stream where its priority says whether it may come in; else None.

        Who is waited for has no place yet.
        """
        admission = self.admission
        if admission is None or call.name not in self.queries or admission.full or not admission.crowded:
            return None
        try:
            async with asyncio.timeout(OPENING_S):
                return await anext(raws, None)
        except TimeoutError:
            return None

    def _parser(self, call: MethodDescriptor) -> Parse:
        kind = GetMessageClass(call.input_type)
        limit = self.max_message_bytes

        def parse(raw: bytes) -> Message:
            if len(raw) > limit:
                raise InvalidQuery("request", f"{len(raw):,} bytes", f"at most {limit:,} bytes")
            try:
                return kind.FromString(raw)
            except DecodeError as error:
                problem = f"not a valid {call.input_type.name}: broken protobuf, or text that is not UTF-8"
                raise InvalidQuery("request", problem, "protobuf with UTF-8 text") from error

        return parse

    def _encoded(self, reply: Reply) -> bytes:
        data = reply if isinstance(reply, bytes) else reply.SerializeToString()
        if len(data) > self.max_message_bytes:
            raise InvalidQuery(
                "request",
                f"the reply has {len(data):,} bytes",
                f"at most {self.max_message_bytes:,}: ask for less",
            )
        return data


async def write(context: Context, data: bytes) -> None:
    """One message; where the caller is gone `asyncio.CancelledError`, as when gRPC notices that by itself."""
    try:
        await context.write(data)
    except grpc.aio.BaseError as error:
        raise asyncio.CancelledError("the caller left") from error


def owned(message: Any, caller: Identity | None) -> Any:
    """The message, and every query in it, as the caller's own. Raises `Forbidden` where it names another tenant."""
    if caller is None:
        return message
    fields = message.DESCRIPTOR.fields_by_name
    if "tenant" in fields:
        message.tenant = own_tenant(message.tenant, caller)
    if "requests" in fields:  # of a batch
        for query in message.requests:
            owned(query, caller)
    if "request" in fields and message.HasField("request"):  # that begins a stream of advice
        owned(message.request, caller)
    return message


def is_urgent(raw: bytes, parse: Parse) -> bool:
    """Whether a query's priority is above 0, or that of the query in it; read only where places are scarce."""
    try:
        message = parse(raw)
        return bool(getattr(getattr(message, "request", message), "priority", 0) > 0)
    except InvalidQuery:
        return False


async def begun(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A stream whose first message was read already."""
    yield first
    async for raw in rest:
        yield raw


async def parsed(raws: AsyncIterator[bytes], parse: Parse) -> AsyncIterator[Any]:
    """The messages of a stream; one bad message is an `InvalidQuery` in its place, and need not end the stream."""
    async for raw in raws:
        try:
            yield parse(raw)
        except InvalidQuery as error:
            yield error


def time_left(context: Context) -> float | None:
    """Seconds until the caller's deadline, None without one. Raises `DeadlineExceeded` where it is over."""
    left_s: float | None = context.time_remaining()  # None without a deadline, whatever the stub says
    if left_s is not None and left_s <= 0:
        raise DeadlineExceeded("the deadline was over before the call came in")
    return left_s


async def refuse(context: Context, error: Exception, call: Call, name: str) -> NoReturn:
    """End the call with the error's status; an error that is not of our tree is logged, and told without its text."""
    if not isinstance(error, RouterError):
        structlog.get_logger().error(
            INTERNAL_MESSAGE, call=name, decision_id=call.decision_id, exc_info=error, error=repr(error)
        )
    told = refusal(error, call.decision_id)
    await context.abort(told.code, told.message, told.trailers)


def set_trailers(context: Context, call: Call) -> None:
    """The decision id, where there is one that a header may carry, also for calls that went well."""
    if call.decision_id and call.decision_id.isascii() and call.decision_id.isprintable():
        context.set_trailing_metadata(((DECISION_ID_TRAILER, call.decision_id),))


def snake(name: str) -> str:
    """`GenerateStream` -> `generate_stream`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _not_built(name: str) -> Callable[..., Awaitable[Reply]]:
    async def refused(*_: object) -> Reply:
        raise NotBuilt(f"{name} is part of the wire, and this version does not serve it")

    return refused

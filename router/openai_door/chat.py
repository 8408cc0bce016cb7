"""POST /v1/chat/completions and /v1/completions: from the body of a request to the last byte of its reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec
from aiohttp import web

from predictors.observation import Query
from router.admission.coalescing import Coalescer
from router.admission.idempotency import Replays
from router.checks.queries import Known
from router.domain.events import Done, Event
from router.domain.options import Options
from router.domain.query_trace import Trace
from router.domain.usage import whole_micros
from router.openai_door.body import is_urgent, json_body
from router.openai_door.caller import CALLED, tenant_of
from router.openai_door.headers import COST_HEADER, STATUS_HEADER, TRACEPARENT, reply_headers, request_id
from router.openai_door.models import Models
from router.openai_door.read_chat import Chat, Reader, read_chat, read_prompt
from router.openai_door.reply import Completion, completion
from router.openai_door.streamed_reply import StreamedReply
from router.openai_door.text_reply import as_text

Tell = Callable[[Event], Awaitable[None]]


class Answers(Protocol):
    """The allocator, as this door uses it."""

    def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """Started, what happens, Done."""
        ...


class Admission(Protocol):
    """Who may come in; shared with the other doors of the process."""

    draining: bool

    def enter(self, *, query: bool, urgent: Callable[[], bool] = ...) -> AbstractContextManager[None]:
        """Let one call run. Raises `Draining` or `Overloaded`."""
        ...


class Traces(Protocol):
    """Says which queries are traced."""

    def begin(self, traceparent: str) -> Trace | None:
        """The trace of a query whose caller sent this header ("": none); None: it is not traced."""
        ...


@dataclass(frozen=True, slots=True)
class Chats:
    """Answers chats and prompts. One under an id of the caller's own is worked off once."""

    answers: Answers
    models: Models
    known: Known
    admission: Admission
    replays: Replays[Completion]
    new_id: Callable[[], str]
    wall_s: Callable[[], float]
    keep_alive_s: float
    traces: Traces | None = None  # None: nothing is traced
    coalescer: Coalescer | None = None  # None: whole replies are worked off as they come

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """The reply to a chat, whole or as a stream. Raises what goes wrong before its first byte is sent."""
        return await self._handle(request, read_chat)

    async def prompt(self, request: web.Request) -> web.StreamResponse:
        """The same for a prompt without turns."""
        return await self._handle(request, read_prompt)

    async def _handle(self, request: web.Request, read: Reader) -> web.StreamResponse:
        body = await json_body(request)
        with self.admission.enter(query=True, urgent=lambda: is_urgent(body)):
            chat = read(body, request_id(request.headers), self.models, self.known, self.new_id)
            request[CALLED] = chat.query.request_id
            chat = replace(chat, query=replace(chat.query, tenant=tenant_of(request, chat.query.tenant)))
            if self.traces is not None:
                trace = self.traces.begin(request.headers.get(TRACEPARENT, ""))
                chat = replace(chat, options=replace(chat.options, trace=trace))
            reply = self._stream if chat.options.stream else self._whole
            return await reply(request, chat)

    async def _whole(self, request: web.Request, chat: Chat) -> web.StreamResponse:
        others = self.coalescer is not None and await self.coalescer.take()
        reply = await self._once(chat, None)
        told = reply.router
        headers = reply_headers(
            chat.query.request_id, told.decision_id, reply.model, told.bundle, told.degraded
        )
        headers[COST_HEADER] = str(whole_micros(told.cost))
        headers[STATUS_HEADER] = told.status
        body = msgspec.json.encode(as_text(reply) if chat.text else reply)
        if others:
            await asyncio.sleep(0)  # they decide before the first reply is sent
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _stream(self, request: web.Request, chat: Chat) -> web.StreamResponse:
        async with StreamedReply(request, chat, int(self.wall_s()), self.keep_alive_s) as telling:
            try:
                return await telling.finish(await self._once(chat, telling.tell))
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller is told)
                return await telling.fail(error)

    async def _once(self, chat: Chat, tell: Tell | None) -> Completion:
        """The reply to a request; to one that was worked off before, or is being worked off, the same."""
        if not chat.named:
            return await self._work(chat, tell)
        with await self.replays.claim((chat.query.tenant, chat.query.request_id), chat.digest) as claim:
            if claim.result is None:
                reply = await self._work(chat, tell)
                claim.finish(reply, len(msgspec.json.encode(reply)))
                return reply
        return claim.result

    async def _work(self, chat: Chat, tell: Tell | None) -> Completion:
        async with aclosing(self.answers.run(chat.query, chat.options)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return completion(event, chat, int(self.wall_s()))
                if tell:
                    await tell(event)
        raise AssertionError("the allocator ended without Done")

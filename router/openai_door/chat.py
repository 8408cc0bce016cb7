"""POST /v1/chat/completions: from the body of a request to the last byte of its reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import Protocol

import msgspec
from aiohttp import web

from predictors.observation import Query
from router.checks.queries import Known
from router.domain.events import Done, Event
from router.domain.options import Options
from router.domain.usage import whole_micros
from router.idempotency import Replays
from router.openai_door.headers import COST_HEADER, reply_headers, request_id
from router.openai_door.models import Models
from router.openai_door.read_chat import Chat, read_chat
from router.openai_door.reply import Completion, completion
from router.openai_door.telling import Telling

Tell = Callable[[Event], Awaitable[None]]


class Answers(Protocol):
    """The allocator, as this door uses it."""

    def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """Started, what happens, Done."""
        ...


class Admission(Protocol):
    """Who may come in; shared with the other doors of the process."""

    draining: bool

    def enter(self, *, query: bool) -> AbstractContextManager[None]:
        """Let one call run. Raises `Draining` or `Overloaded`."""
        ...


@dataclass(frozen=True, slots=True)
class Chats:
    """Answers chat requests. One under an id of the caller's own is worked off once."""

    answers: Answers
    models: Models
    known: Known
    admission: Admission
    replays: Replays[Completion]
    new_id: Callable[[], str]
    wall_s: Callable[[], float]
    keep_alive_s: float

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The reply, whole or as a stream. Raises what goes wrong before its first byte is sent."""
        if request.content_type != "application/json":  # which no web page may send here unasked
            raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
        body = await request.read()
        with self.admission.enter(query=True):
            chat = read_chat(body, request_id(request.headers), self.models, self.known, self.new_id)
            reply = self._stream if chat.options.stream else self._whole
            return await reply(request, chat)

    async def _whole(self, request: web.Request, chat: Chat) -> web.StreamResponse:
        reply = await self._once(chat, None)
        headers = reply_headers(chat.query.request_id, reply.router.decision_id, reply.model)
        headers[COST_HEADER] = str(whole_micros(reply.router.cost))
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json", headers=headers)

    async def _stream(self, request: web.Request, chat: Chat) -> web.StreamResponse:
        async with Telling(request, chat, int(self.wall_s()), self.keep_alive_s) as telling:
            try:
                return await telling.finish(await self._once(chat, telling.tell))
            except Exception as error:
                if telling.response is None:
                    raise
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

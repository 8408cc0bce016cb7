"""One query's answer as a stream, told as it happens: only committed text, nothing taken back."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from router.domain.events import AnswerDelta, Event, Started
from router.openai_door.chunks import Chunks, event
from router.openai_door.errors import logged_refusal
from router.openai_door.event_stream import EventStream
from router.openai_door.headers import reply_headers
from router.openai_door.read_chat import Chat
from router.openai_door.reply import Completion, completion_id


class Telling:
    """Enter it, `tell` what happens, then `finish`. The headers go out with the first thing told, not before."""

    def __init__(self, request: web.Request, chat: Chat, created: int, keep_alive_s: float) -> None:
        self.response: web.StreamResponse | None = None  # None: nothing was sent yet
        self._request, self._chat, self._created = request, chat, created
        self._keep_alive_s = keep_alive_s
        self._text: list[str] = []
        self._reasoning: list[str] = []

    async def __aenter__(self) -> Self:
        self._open = AsyncExitStack()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def tell(self, told: Event) -> None:
        """Write what the caller should see of it."""
        if isinstance(told, Started):
            await self._begin(told.decision_id, told.plan)
        elif isinstance(told, AnswerDelta):
            reasoning = told.reasoning if self._chat.return_reasoning else ""
            if told.text or reasoning:
                self._text.append(told.text)
                self._reasoning.append(reasoning)
                await self._stream.write(self._chunks.text(0, told.text, reasoning))

    async def finish(self, reply: Completion) -> web.StreamResponse:
        """Write what has not been told of the reply; all of it, where nothing was."""
        if self.response is None:
            await self._begin(reply.router.decision_id, reply.model)
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        first = reply.choices[0].message.content or ""
        if not first.startswith(text):  # a backend whose pieces are not its text: too late for this caller
            structlog.get_logger().error(
                "streamed text is not in the answer", decision_id=reply.router.decision_id
            )
        for chunk in self._chunks.rest(reply, len(text), len(reasoning)):
            await self._stream.write(chunk)
        return self._stream.response

    async def fail(self, error: Exception) -> web.StreamResponse:
        """End a stream that has begun with an error event, and without [DONE]."""
        await self._stream.write(event(logged_refusal(error, self._request.path).body))
        return self._stream.response

    async def _begin(self, decision_id: str, plan: str) -> None:
        headers = reply_headers(self._chat.query.request_id, decision_id, plan)
        stream = EventStream(self._request, headers, self._keep_alive_s)
        self._stream = await self._open.enter_async_context(stream)
        self.response = stream.response
        self._chunks = Chunks(completion_id(decision_id), self._created, plan, self._chat.include_usage)
        await stream.write(self._chunks.role())

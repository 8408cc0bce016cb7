"""One query's answer as a stream, told as it happens: only committed text, nothing taken back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from router.domain.events import AnswerDelta, Event, Started
from router.openai_door.chunks import Chunks, Shown, event
from router.openai_door.errors import logged_refusal
from router.openai_door.event_stream import EventStream
from router.openai_door.headers import reply_headers
from router.openai_door.read_chat import Chat
from router.openai_door.reply import Completion, completion_id, logprobs_of
from router.openai_door.text_reply import TextChunks


class StreamedReply:
    """Enter it, `tell` what happens, then `finish`. The status goes out with the first text or sign of life."""

    def __init__(self, request: web.Request, chat: Chat, created: int, keep_alive_s: float) -> None:
        self._request, self._chat, self._created = request, chat, created
        self._keep_alive_s = keep_alive_s
        self._shown = Shown()
        self._stream: EventStream | None = None  # None: no plan is drawn yet

    async def __aenter__(self) -> Self:
        self._open = AsyncExitStack()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, error, trace)

    async def tell(self, told: Event) -> None:
        """Write what the caller should see of it."""
        if isinstance(told, Started):
            await self._begin(told.decision_id, told.plan, told.bundle, told.degraded)
        elif isinstance(told, AnswerDelta) and self._stream is not None:
            await self._committed(told, self._stream)

    async def finish(self, reply: Completion) -> web.StreamResponse:
        """Write what has not been told of the reply; all of it, where nothing was."""
        told, shown, stream = reply.router, self._shown, self._stream
        if stream is None:
            stream = await self._begin(told.decision_id, reply.model, told.bundle, told.degraded)
        first = reply.choices[0].message.content or ""
        # a backend whose pieces are not its text: too late for this caller
        if not first.startswith("".join(shown.texts)):
            structlog.get_logger().error("streamed text is not in the answer", decision_id=told.decision_id)
        for chunk in self._chunks.rest(reply, shown):
            await stream.write(chunk)
        return stream.response

    async def _committed(self, told: AnswerDelta, stream: EventStream) -> None:
        shown, chat = self._shown, self._chat
        reasoning = told.reasoning if chat.return_reasoning else ""
        if told.text or reasoning:
            logprobs = None
            if chat.query.token_logprobs and told.text:
                logprobs = logprobs_of(told.token_logprobs, chat)
                shown.tokens += len(told.token_logprobs)
            offset = shown.text_chars
            shown.texts.append(told.text)
            shown.text_chars += len(told.text)
            shown.reasoning_chars += len(reasoning)
            if chunk := self._chunks.text(0, told.text, reasoning, logprobs, offset):
                await stream.write(chunk)
        one = chat.query.parallel_tool_calls is False
        pieces = tuple(piece for piece in told.calls if not (one and piece.index))
        for piece in pieces:
            shown.calls[piece.index] = shown.calls.get(piece.index, 0) + len(piece.arguments)
        if pieces and (chunk := self._chunks.calls(0, pieces)):
            await stream.write(chunk)

    async def fail(self, error: Exception) -> web.StreamResponse:
        """End the stream with an error event, and without [DONE]. Raises `error` where the caller has no status yet."""
        if self._stream is None or not self._stream.response.prepared:
            raise error
        called = self._chat.query.request_id
        await self._stream.write(event(logged_refusal(error, self._request.path, called).body))
        return self._stream.response

    async def _begin(self, decision_id: str, plan: str, bundle: str, degraded: Sequence[str]) -> EventStream:
        chat = self._chat
        headers = reply_headers(chat.query.request_id, decision_id, plan, bundle, degraded)
        stream = EventStream(self._request, headers, self._keep_alive_s)
        kind = TextChunks if chat.text else Chunks
        self._chunks: Chunks | TextChunks = kind(
            completion_id(decision_id, text=chat.text), self._created, plan, chat.include_usage
        )
        stream.opening = self._chunks.role()
        self._stream = await self._open.enter_async_context(stream)
        return stream

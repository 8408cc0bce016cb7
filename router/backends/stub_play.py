"""One completion request of the stub server, from its body to its last byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from router.backends.stub_engine import Engine
from router.backends.stub_texts import Reply
from router.backends.stub_wire import StubRequest, Writer
from router.backends.timeline import Event, Timeline

SLOWER = 20.0
OVER = 4  # times max_tokens
TOKENS_BEFORE_FAULT = 2
TOKENS_PER_BREATH = 64  # at pace 0 other requests get their turn this often

PAGE = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"
BROKEN = {
    "bad_json": b'data: {"choices": [{"index": 0, "delta": {"content": \n\n',
    "bad_utf8": b'data: {"choices": [{"index": 0, "text": "\xff\xfe", "delta": {"content": "\xff\xfe"}}]}\n\n',
    "error_event": b'data: {"error": {"message": "the engine died", "type": "InternalServerError", "code": 500}}\n\n',
}


@dataclass(frozen=True, slots=True)
class Play:
    """Replies on their way to one client."""

    engine: Engine
    writer: Writer
    replies: tuple[Reply, ...]
    pace: float
    fault: str
    interval: int = 1  # tokens per event

    async def whole(self) -> web.Response:
        """All choices in one piece, after the time that the longest takes."""
        with self.engine.sequences(len(self.replies)) as ended:
            if self.pace:
                await asyncio.sleep(max(map(_length_s, self.replies)) / self.pace)
            for place, reply in enumerate(self.replies):
                self.engine.tokens += len(reply.tokens)
                ended[place] = True
        choices = [self.writer.complete(place, reply) for place, reply in enumerate(self.replies)]
        usage = (
            None if self.fault == "no_usage" else self._total([len(reply.tokens) for reply in self.replies])
        )
        return web.Response(body=self.writer.whole(choices, usage), content_type="application/json")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events, one per `interval` tokens, all choices interleaved by their times; a client may leave.

        As with vLLM a choice's first token comes at once, and what is left when it ends.
        """
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            return await self._streamed(request, response)
        return response

    async def _streamed(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        options = self.writer.request.stream_options or {}
        told = self.fault != "no_usage" and bool(options.get("include_usage"))
        continuous = told and bool(options.get("continuous_usage_stats"))
        timeline: Timeline[tuple[int, int]] = Timeline(self.pace, asyncio.get_running_loop().time)
        with self.engine.sequences(len(self.replies)) as ended:
            for place, reply in enumerate(self.replies):
                timeline.start(_times(place, reply))
            sent, written = [0] * len(self.replies), [0] * len(self.replies)
            thoughts = [0] * len(self.replies)
            while timeline:
                place, token = await timeline.next()
                reply = self.replies[place]
                at_end = token == len(reply.tokens)
                if at_end:
                    ended[place] = True
                else:
                    sent[place] += 1
                    thoughts[place] += reply.tokens[token].kind == "thought"
                    self.engine.tokens += 1
                held = sent[place] - written[place]
                due = held >= self.interval or sent[place] == 1 or at_end
                usage = self.writer.usage(sent[place], thoughts[place], details=False) if continuous else None
                if held and due:
                    choice = self.writer.piece(place, reply, written[place], sent[place])
                    written[place] = sent[place]
                    await response.write(self.writer.chunk([choice], usage))
                if at_end:
                    choice = self.writer.end(place, reply.finish_reason)
                    await response.write(self.writer.chunk([choice], usage))
                if sum(sent) % TOKENS_PER_BREATH == 0:
                    await asyncio.sleep(0)
                if (
                    self.fault
                    and sum(sent) == TOKENS_BEFORE_FAULT
                    and not await self._go_on(response, request)
                ):
                    return response
        if told:
            await response.write(self.writer.chunk([], self._total(sent)))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _go_on(self, response: web.StreamResponse, request: web.Request) -> bool:
        """Do what the fault says in the middle of a stream; False: that was the end."""
        if self.fault == "hang_mid_stream":
            await asyncio.Event().wait()
        if self.fault == "die_mid_stream" and request.transport is not None:
            request.transport.abort()
            return False
        if self.fault == "end_early":
            await response.write_eof()
            return False
        if self.fault in BROKEN:
            await response.write(BROKEN[self.fault])
        return True

    def _total(self, sent: list[int]) -> dict[str, Any]:
        thought = sum(
            token.kind == "thought"
            for reply, count in zip(self.replies, sent, strict=True)
            for token in reply.tokens[:count]
        )
        return self.writer.usage(sum(sent), thought)


def limited(reply: Reply, request: StubRequest, fault: str) -> Reply:
    """The reply within the request's limits, or beyond them where the fault says so."""
    wanted = request.min_tokens
    if fault == "over_max_tokens":
        wanted = OVER * request.limit
    elif len(reply.tokens) > request.limit:
        return replace(reply, tokens=reply.tokens[: request.limit], finish_reason="length")
    if len(reply.tokens) < wanted and reply.tokens:
        rounds = -(-wanted // len(reply.tokens))
        return replace(reply, tokens=(reply.tokens * rounds)[:wanted])
    return reply


def slowed(reply: Reply) -> Reply:
    """The reply as a server under far too much load gives it."""
    return replace(reply, first_token_s=reply.first_token_s * SLOWER, token_s=reply.token_s * SLOWER)


def _times(place: int, reply: Reply) -> Iterator[Event[tuple[int, int]]]:
    for token in range(len(reply.tokens)):
        yield reply.first_token_s + token * reply.token_s, (place, token)
    yield _length_s(reply), (place, len(reply.tokens))


def _length_s(reply: Reply) -> float:
    return reply.first_token_s + max(0, len(reply.tokens) - 1) * reply.token_s

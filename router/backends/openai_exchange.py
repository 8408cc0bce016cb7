"""One streamed request to an OpenAI-compatible server and the samples that come of it.

Stated ignorance: nothing here knows how many requests a call needs, or which url is asked when one fails.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import structlog

from predictors.observation import Sample
from router.backends import Call
from router.backends.openai_choice import GrowingChoice
from router.backends.openai_chunks import DONE, LONGEST_EVENT, Chunk, EventReader
from router.backends.openai_endpoints import STREAM_OPTIONS, Endpoint
from router.backends.openai_errors import of_event, of_status, translated
from router.backends.openai_reading import Until, let_end
from router.backends.openai_receipt import Receipt
from router.domain.events import Delta
from router.domain.usage import pieces_of
from router.errors import BackendError, BackendGarbled, BackendRefused, BackendUnavailable

CHECKPOINT_TOKENS = 64  # a growing sample is shown every so often
LONGEST_ERROR = 64 * 1024  # bytes of an error's body that are read


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up, on the event loop's clock."""

    first_token_at: float
    ends_at: float
    first_token_s: float  # the same as durations, for messages
    ends_s: float


@dataclass(slots=True)
class Exchange:
    """A request for `len(choices)` samples. Read `events` once; closing it closes the connection, which aborts it."""

    who: str  # backend and url, for messages
    call: Call
    body: Mapping[str, Any]  # without stream_options
    choices: tuple[GrowingChoice, ...]
    receipt: Receipt
    limits: Limits
    started_at: float  # on the event loop's clock
    decoder: msgspec.json.Decoder[Chunk]
    received: bool = False  # anything of a sample has come
    begins: asyncio.Event | None = None  # set when it does
    overran: bool = False  # a choice went beyond max_tokens and was cut
    ended: bool = False  # the server said that this was all
    unfinished: set[int] = field(default_factory=set)
    step: int = CHECKPOINT_TOKENS  # tokens between the showings of a growing sample
    checkpoint: int = 0  # tokens at which it is shown next
    interval: int = 1  # tokens that may come at a time, where the server can
    _asked_interval: int = 1  # of the server that took the request
    _held: list[GrowingChoice] = field(default_factory=list)  # finished, waiting for the request's usage
    _endpoint: Endpoint | None = None  # that is asked

    async def events(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, path: str
    ) -> AsyncGenerator[Sample | Delta, None]:
        """Finished samples (with `call.stream` deltas too, with `call.growing` unfinished ones), booked before each.

        A server that ignores `n` ends the stream with choices that never began: they stay in `unfinished`.
        """
        self.unfinished = set(range(len(self.choices)))
        self.checkpoint = self.step
        response: aiohttp.ClientResponse | None = None
        self._endpoint = endpoint
        endpoint.in_flight += 1
        endpoint.asked += 1
        accepted = True  # until the server says otherwise, it may be at work on the prompt
        try:
            try:
                response = await self._open(session, endpoint, path)
            except (BackendUnavailable, BackendRefused):
                accepted = False
                raise
            whole = response.content_type == "application/json"  # a server that does not stream
            async with aclosing(self._chunks(response, whole)) as chunks:
                async for chunk in chunks:
                    for event in self._take(chunk, whole):
                        yield event
                    if self.overran and not self.unfinished:
                        break
            begun = any(self.choices[place].counted for place in self.unfinished)
            if begun or len(self.unfinished) == len(self.choices):
                raise BackendUnavailable(f"{self.who}: the stream ended before the sample did")
            self._share_total()
            for choice in self._held:
                yield self._shown(choice)
        finally:
            endpoint.in_flight -= 1
            if accepted:
                self._book(self._unseen())
            if response is not None and self.ended:
                await let_end(response)
            elif response is not None:
                response.close()  # not release: what has not been read is not wanted

    async def _open(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, path: str
    ) -> aiohttp.ClientResponse:
        """Post; where an unknown server refuses, ask again with fewer stream options, and remember what it took."""
        options, interval = endpoint.options, self._interval_at(endpoint)
        while True:
            body = dict(self.body)
            if STREAM_OPTIONS[options] is not None:
                body["stream_options"] = STREAM_OPTIONS[options]
            if interval > 1:
                body["stream_interval"] = interval
            sent = _encoded(self.who, body)
            with translated(self.who, self._waiting_for()):
                async with asyncio.timeout_at(self._deadline()):
                    response = await session.post(
                        endpoint.url + path,
                        data=sent,
                        headers=self._headers(),
                        allow_redirects=False,  # the key and the prompt go where the operator said
                    )
                    if response.status == 200:
                        endpoint.options, endpoint.confirmed = options, True
                        if self._interval_at(endpoint) > 1:
                            endpoint.takes_interval = interval > 1
                        self._asked_interval = interval
                        return response
                    error = of_status(
                        self.who, response.status, response.content_type, await _error_body(response)
                    )
            refused = isinstance(error, BackendRefused)
            if refused and interval > 1 and endpoint.takes_interval is None:
                interval = 1
            elif refused and not endpoint.confirmed and options > 0:
                options -= 1
            else:
                raise error

    def _interval_at(self, endpoint: Endpoint) -> int:
        """1 where a piece could not be counted, or the server does not know the key."""
        return self.interval if endpoint.counts and endpoint.takes_interval is not False else 1

    def _headers(self) -> dict[str, str]:
        """A server that traces is told the span of the request's first sample."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        trace = self.call.trace
        if trace is not None:
            headers["traceparent"] = trace.header(self.choices[0].sample_id)
        return headers

    async def _chunks(self, response: aiohttp.ClientResponse, whole: bool) -> AsyncGenerator[Chunk, None]:
        if "html" in response.content_type:
            raise BackendGarbled(f"{self.who}: an HTML page instead of an answer")
        reader, body, any_event = EventReader(), bytearray(), False
        received, content = b"-", response.content
        with Until(content, self._deadline):
            while received:
                try:
                    received = await content.readany()
                    if whole:
                        body += received
                        if len(body) > LONGEST_EVENT:
                            raise BackendGarbled(f"the reply is longer than {LONGEST_EVENT} bytes")
                        events = [] if received else [bytes(body)]
                    else:
                        events = reader.feed(received) if received else reader.finish()
                except (BackendError, aiohttp.ClientError, OSError) as error:  # TimeoutError is one
                    self._unread(error)
                    return
                for event in events:
                    if event == DONE:
                        self.ended = True
                        return
                    any_event = True
                    yield self._decoded(event)
        if not any_event:
            raise BackendGarbled(f"{self.who}: the reply has no event")

    def _unread(self, error: Exception) -> None:
        """Raises it as ours, unless only the usage is missing: what was counted must do."""
        if self.unfinished:
            with translated(self.who, self._waiting_for()):
                raise error

    def _heard(self, anything: bool) -> None:
        if self.received or not anything:
            return
        self.received = True
        if self._endpoint is not None:
            self._endpoint.heard()
        if self.begins is not None:
            self.begins.set()

    def _decoded(self, event: bytes) -> Chunk:
        try:
            chunk = self.decoder.decode(event)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BackendGarbled(f"{self.who}: broken JSON or UTF-8 in the reply: {error}") from error
        if chunk.error is not None:
            raise of_event(self.who, chunk.error)
        return chunk

    def _take(self, chunk: Chunk, whole: bool) -> list[Sample | Delta]:
        events: list[Sample | Delta] = []
        elapsed_s = self._elapsed_s()
        if chunk.usage is not None:
            self.receipt.read(chunk.usage, last=whole or not chunk.choices)
        of_choice = None if whole else chunk.usage
        for part in chunk.choices:
            if not 0 <= part.index < len(self.choices):
                raise BackendGarbled(
                    f"{self.who}: choice {part.index} where {len(self.choices)} were asked for"
                )
            choice = self.choices[part.index]
            delta = choice.add(part, of_choice, elapsed_s)
            if delta is not None and not self.received and self._endpoint is not None:
                self._endpoint.counts = of_choice is not None
            self._heard(choice.counted > 0)
            if part.index not in self.unfinished:
                continue  # it goes on after its end or limit: that is charged, not shown
            if delta is not None and self.call.stream:
                events.append(delta)
            if choice.finish_reason or self._beyond_limit(choice):
                self.unfinished.discard(part.index)
                if self.unfinished and not whole:
                    events.append(self._shown(choice))
                else:
                    self._held.append(choice)  # the request's own usage comes next
            elif self.call.growing and choice.tokens >= self.checkpoint:
                self.checkpoint = choice.tokens + self.step
                events.append(self._shown(choice, finished=False))
        return events

    def _beyond_limit(self, choice: GrowingChoice) -> bool:
        """Whether it must be cut: more than `max_tokens` reported, or far more pieces (a token may come in two)."""
        limit = self.call.sampling.max_tokens
        if limit is None or choice.tokens <= (limit if choice.reported is not None else pieces_of(limit)):
            return False
        choice.finish_reason = "length"
        self.overran = True
        return True

    def _share_total(self) -> None:
        """Give the request's output tokens to the choices of which the server reported none by themselves.

        By length of text, and to none more than it may have, unless together they have more than they may.
        """
        total, silent = self.receipt.total, [choice for choice in self.choices if choice.reported is None]
        if total is not None and len(self.choices) == 1:
            self.choices[0].take_thought(total)
        if total is None or not silent:
            return
        left = (total.completion_tokens or 0) - sum(choice.reported or 0 for choice in self.choices)
        size, limit = sum(1 + choice.characters for choice in silent), self.call.sampling.max_tokens
        most = left if limit is None or left > limit * len(silent) else limit
        for choice in silent:
            choice.reported = max(0, min(most, left * (1 + choice.characters) // size))
            choice.shared = len(silent) > 1

    def _shown(self, choice: GrowingChoice, *, finished: bool = True) -> Sample:
        """The sample, after booking. Choices after the first read the prompt that the first one had computed."""
        self._book()
        limit = self.call.sampling.max_tokens
        if finished and limit is not None and choice.tokens > limit:
            structlog.get_logger().warning(
                "backend gave more than max_tokens", backend=self.who, tokens=choice.tokens, max_tokens=limit
            )
        return choice.sample(
            tokens_in=self.receipt.tokens_in,
            tokens_cached=self.receipt.cached if choice is self.choices[0] else self.receipt.tokens_in,
            estimated=self.receipt.prompt is None or choice.reported is None or choice.shared,
            latency_s=self._elapsed_s(),
            finished=finished,
        )

    def _unseen(self) -> int:
        """Tokens that samples which are cut may have had beyond their last piece: all that one piece may hold."""
        limit = self.call.sampling.max_tokens or math.inf
        begun = (self.choices[place].tokens for place in self.unfinished)
        return sum(int(min(self._asked_interval - 1, max(0, limit - tokens))) for tokens in begun if tokens)

    def _book(self, unseen: int = 0) -> None:
        self.receipt.book(
            unseen + sum(choice.tokens for choice in self.choices),
            sum(choice.tokens_reasoning for choice in self.choices),
        )

    def _elapsed_s(self) -> float:
        return asyncio.get_running_loop().time() - self.started_at

    def _deadline(self) -> float:
        return self.limits.ends_at if self.received else min(self.limits.first_token_at, self.limits.ends_at)

    def _waiting_for(self) -> str:
        if self.received or self.limits.ends_at <= self.limits.first_token_at:
            return f"end of the sample within {self.limits.ends_s:.1f} s"
        return f"token within {self.limits.first_token_s:.1f} s"


def _encoded(who: str, body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BackendRefused(f"{who}: the request cannot be written as JSON: {error}") from error


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    try:
        async for piece in response.content.iter_any():
            body += piece
            if len(body) >= LONGEST_ERROR:
                break
    finally:
        response.close()
    return bytes(body[:LONGEST_ERROR])

"""Samples from vLLM, or from any server that speaks the OpenAI protocol, over HTTP.

Always streamed: tokens are counted as they come, and closing the connection frees the server's work. Where nobody
follows a sample token by token, several come at a time (`stream_interval`). Samples that may all run at once are one
request with `n`; else `width` requests are in flight, the next one sent when the consumer asks for more. With several
urls the one with least in flight is asked, and the next one where a url cannot be reached and no token came yet.

When it fails: a server that reports no usage is counted (a token per piece or logprob, prompt bytes / 4) and its
samples say `usage_estimated`. Seeds repeat a sample only on a server that honours them, and then only up to the noise
of batching. The completions door joins all turns with blank lines: made for base models and one turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from predictors.observation import Sample
from router.backends import Call, Capabilities
from router.backends.hedged import Attempt, hedged
from router.backends.hidden import HIDDEN_SOURCES, HiddenSource, Ticket
from router.backends.hidden_box import TimeBox
from router.backends.openai_body import prompt_tokens_estimate, request_body, seed_of
from router.backends.openai_choice import GrowingChoice
from router.backends.openai_chunks import ChatChunk, Chunk, TextChunk
from router.backends.openai_endpoints import Endpoint, Endpoints
from router.backends.openai_exchange import CHECKPOINT_TOKENS, Exchange, Limits
from router.backends.openai_named import NamedChatChunk, NamedTextChunk
from router.backends.openai_receipt import Receipt
from router.backends.openai_session import open_session
from router.backends.openai_side_call import Home, SideCalls
from router.backends.openai_trace import Trace
from router.backends.prompting import with_prompt
from router.backends.server_load import ServerLoad, read_load, together
from router.backends.side_by_side import side_by_side
from router.config import BackendConfig
from router.domain.events import Delta
from router.domain.usage import Meter
from router.errors import (
    BackendError,
    BackendGarbled,
    BackendRefused,
    BackendTimeout,
    BackendUnavailable,
)
from router.plugins import resolve

HURRY_S = 10.0  # a caller who gives a server less until its first token says nothing about it
LOOKED_AT_TOKENS = 8  # that come at a time of a sample that is looked at every `CHECKPOINT_TOKENS`
GROWN_TOKENS = 8  # how closely a sample is followed whose cue points are looked for


class VLLM:
    """One model behind one or several urls. Connects on the first call; belongs to one event loop."""

    def __init__(
        self,
        name: str = "vllm",
        config: BackendConfig | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        config = config or BackendConfig()
        self.name = name
        self.config = config
        chat = config.api == "chat"
        self.capabilities = Capabilities(
            tools=config.tools and chat,
            images=config.images and chat,
            response_format=config.response_format,
            multi_turn=chat,
            logprobs=config.logprobs,
            context_tokens=config.context_tokens,
            extra=frozenset(config.extra_allowed),
            token_logprobs=config.logprobs,
        )
        self._path = "/v1/chat/completions" if chat else "/v1/completions"
        self._decoder: msgspec.json.Decoder[Chunk] = msgspec.json.Decoder(ChatChunk if chat else TextChunk)
        self._named: msgspec.json.Decoder[Chunk] = msgspec.json.Decoder(
            NamedChatChunk if chat else NamedTextChunk
        )
        self._endpoints = Endpoints.of(config.urls)
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._states = _time_box(name, config, environ)
        self.hedges = 0  # requests sent because another server had not begun to answer
        self._takes_n = True  # until it was seen that the server answers once whatever `n` says

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        """See `Backend.sample`."""
        body = request_body(call, self.config)
        ends_at = None if call.time_left_s is None else asyncio.get_running_loop().time() + call.time_left_s
        missing = list(range(call.max_samples))
        if self._together(call):
            try:
                async with aclosing(self._stream(call, meter, body, missing, ends_at)) as together:
                    async for event in together:
                        if isinstance(event, Sample):
                            missing.remove(event.index)
                        yield event
            except BackendRefused:
                if len(missing) < call.max_samples:
                    raise  # else it may be `n` that it does not want
        streams = self._one_by_one(call, meter, body, missing, ends_at)
        if call.max_samples == 1 and (call.growth is not None or not call.growing):
            async with aclosing(next(streams)[1]) as only:
                async for event in only:
                    yield event
        elif missing:
            async with aclosing(side_by_side(streams, call.width, call.pruned)) as merged:
                async for event in merged:
                    yield event

    def urls(self) -> tuple[int, int]:
        """How many of the servers are asked, and how many rest after a failure. Call it in the event loop."""
        now, members = asyncio.get_running_loop().time(), self._endpoints.members
        resting = sum(member.resting_until > now for member in members)
        return len(members) - resting, resting

    @property
    def trouble(self) -> str:
        """Which servers failed when they were last asked, and why; "" where none did."""
        return self._endpoints.trouble

    async def load(self, wait_s: float) -> ServerLoad | None:
        """What its servers' `/metrics` say together; None where none says anything within `wait_s`."""

        async def look(url: str) -> ServerLoad | None:
            try:
                async with session.get(
                    f"{url}/metrics", timeout=aiohttp.ClientTimeout(total=wait_s)
                ) as reply:
                    return read_load(await reply.text()) if reply.status == HTTPStatus.OK else None
            except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
                return None

        try:
            session = self._connected()
        except BackendUnavailable:
            return None
        found = await asyncio.gather(*(look(member.url) for member in self._endpoints.members))
        return together(load for load in found if load is not None)

    async def close(self) -> None:
        """Release connections."""
        if self._states is not None:
            await self._states.close()
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _together(self, call: Call) -> bool:
        """One request for all: they may all run at once, and none has to be cut by itself.

        vLLM refuses `n` > 1 at temperature 0.
        """
        wanted = 1 < call.max_samples <= call.width and not call.growing
        return wanted and self._takes_n and call.sampling.temperature != 0

    def _one_by_one(
        self, call: Call, meter: Meter, body: Mapping[str, Any], indices: list[int], ends_at: float | None
    ) -> Iterator[tuple[str, AsyncGenerator[Sample | Delta, None]]]:
        for index in indices:
            if call.closing:
                return  # the stage ends: nothing new is begun
            home = Home()
            stream = self._stream(call, meter, body, [index], ends_at, home)
            if call.growth is not None:
                ask = SideCalls(self._stream, call, meter, body, index, ends_at, home)
                stream = Trace(call, call.growth, self.config.growing, stream, ask).events()
            yield f"{call.stage}.{index}", stream

    async def _stream(
        self,
        call: Call,
        meter: Meter,
        body: Mapping[str, Any],
        indices: list[int],
        ends_at: float | None,
        home: Home | None = None,
    ) -> AsyncGenerator[Sample | Delta, None]:
        """One request for the samples `indices`, at the next url where one cannot be reached; at `home` first."""
        loop = asyncio.get_running_loop()
        self._connected()  # what it raises is no server's fault: none is to rest for it
        body = dict(body) | {"n": len(indices), "seed": seed_of(call, indices[0])}
        asked = tuple(indices)  # the caller takes out of the list what has come
        states, ticket = self._states, Ticket()
        if states is not None:
            ticket = states.begin(with_prompt(call.query.messages, call.prompt), call.query.tenant)
            body |= ticket.body
        began, tried, failures, sent = loop.time(), list[str](), list[BackendError](), list[Exchange]()

        def exchange_at(endpoint: Endpoint) -> Exchange:
            tried.append(endpoint.url)
            exchange = Exchange(
                who=f"{self.name} at {endpoint.url}",
                call=call,
                body=body,
                choices=tuple(
                    GrowingChoice(f"{call.stage}.{index}", self.name, call.stage, index) for index in asked
                ),
                receipt=self._receipt(meter, call, len(asked)),
                limits=self._limits(loop.time(), ends_at),
                started_at=began if self.config.hedge_after_s > 0 else loop.time(),
                decoder=self._named if call.query.token_logprobs else self._decoder,
                step=GROWN_TOKENS if call.growth is not None else CHECKPOINT_TOKENS,
                interval=self._interval(call),
            )
            sent.append(exchange)
            return exchange

        while True:
            at_home = home.endpoint if home is not None and not tried else None
            endpoint = at_home or self._endpoints.pick(loop.time(), tried, call.query.session_id)
            if endpoint is None:
                raise BackendUnavailable(f"{self.name}: no url is configured")
            if home is not None and call.growth is not None:  # a side call does not move the sample's home
                home.endpoint = endpoint
            exchange = exchange_at(endpoint)
            stream = self._asked(exchange, endpoint)
            if states is not None:
                stream = with_states(stream, states, ticket, asked)
            else:
                stream = self._hedged(exchange, stream, exchange_at, tried)
            try:
                async with aclosing(stream) as events:
                    async for event in events:
                        yield event
            except BackendError as error:
                failures.append(error)
                again = isinstance(error, BackendUnavailable) and not any(one.received for one in sent)
                if not again or self._endpoints.pick(loop.time(), tried) is None:
                    raise BackendError.of_all(failures) from error
                continue
            return

    async def _asked(self, exchange: Exchange, endpoint: Endpoint) -> AsyncGenerator[Sample | Delta, None]:
        """The exchange's events; its server is known to work, or to have failed, when it ends."""
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        try:
            async with aclosing(exchange.events(self._connected(), endpoint, self._path)) as events:
                async for event in events:
                    yield event
        except BackendError as error:
            if failed(error, exchange, self.config.timeout_s):
                endpoint.failed(clock(), error.wordless)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if not exchange.received:
                endpoint.left(asked_at, clock(), min(self.config.first_token_timeout_s, HURRY_S))
            raise
        endpoint.worked()
        self._takes_n = self._takes_n and not exchange.unfinished

    def _hedged(
        self,
        exchange: Exchange,
        stream: AsyncGenerator[Sample | Delta, None],
        exchange_at: Callable[[Endpoint], Exchange],
        tried: Collection[str],
    ) -> AsyncGenerator[Sample | Delta, None]:
        """The same, with another server asked too where this one has not begun in time, if that is wanted."""
        if self.config.hedge_after_s == 0 or exchange.call.growth is not None:
            return stream

        def second() -> Attempt[Sample | Delta] | None:
            now = asyncio.get_running_loop().time()
            endpoint = self._endpoints.pick(now, tried)
            if endpoint is None or endpoint.open(now):
                return None
            self.hedges += 1
            other = exchange_at(endpoint)
            other.begins = asyncio.Event()
            return Attempt(self._asked(other, endpoint), other.begins)

        exchange.begins = asyncio.Event()
        return hedged(Attempt(stream, exchange.begins), second, self.config.hedge_after_s)

    def _interval(self, call: Call) -> int:
        """Tokens at a time: one where each is handed on, few where a growing sample is looked at."""
        if call.stream or call.growth is not None or call.query.token_logprobs:
            return 1
        most = LOOKED_AT_TOKENS if call.growing else self.config.stream_interval
        return min(self.config.stream_interval, most)

    def _receipt(self, meter: Meter, call: Call, samples: int) -> Receipt:
        clock, longest = asyncio.get_running_loop().time, self.config.timeout_s
        began = clock()
        return Receipt(
            meter,
            self.name,
            prompt_tokens_estimate(call),
            samples,
            gpu_share=self.config.gpu_share,
            seconds=lambda: min(clock() - began, longest),
        )

    def _limits(self, now: float, ends_at: float | None) -> Limits:
        whole_s = self.config.timeout_s
        if ends_at is not None:
            whole_s = min(whole_s, max(0.0, ends_at - now))
        first_s = self.config.first_token_timeout_s
        return Limits(now + first_s, now + whole_s, first_s, whole_s)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session(self.name, self.config, self._environ)
        return self._session


async def with_states(
    stream: AsyncGenerator[Sample | Delta, None], states: TimeBox, ticket: Ticket, asked: Sequence[int]
) -> AsyncGenerator[Sample | Delta, None]:
    """The same events, finished samples with their hidden states; `asked` are the indices of the request's choices."""
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Sample) and event.finished:
                yield await states.with_states(ticket, asked.index(event.index), event)
            else:
                yield event


def _time_box(name: str, config: BackendConfig, environ: Mapping[str, str]) -> TimeBox | None:
    if not config.hidden:
        return None
    kind: type[HiddenSource] = resolve("source of hidden states", HIDDEN_SOURCES, config.hidden)
    return TimeBox(name, kind(name, config, environ), config.hidden_wait_ms / 1000)  # type: ignore[call-arg]


def failed(error: BackendError, exchange: Exchange, longest_s: float) -> bool:
    """Whether it speaks against the server: not what it refuses, nor that it was too slow for a caller in a hurry.

    `longest_s`: what any sample may take. A server's own time was up, too, where nothing came in the time for that, or
    in `HURRY_S`.
    """
    if isinstance(error, BackendTimeout):
        limits = exchange.limits
        silent = not exchange.received and min(limits.first_token_s, HURRY_S) <= limits.ends_s
        return silent or limits.ends_s >= longest_s
    return isinstance(error, (BackendUnavailable, BackendGarbled))

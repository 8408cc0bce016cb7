"""Streams of tokens: through the service, and straight from the same paced model server.

So many streams at any time, begun one after another over the length of a stream, so that their tokens do not come in
step; each begins anew when it has ended. A token is a word of the model server's script.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np

from training.suites.serving.load import CONNECTIONS, connections
from training.suites.serving.processes import Running
from training.suites.serving.prompts import Turn
from training.suites.serving.wire import SERVICE, committed_text, request

WORDS = 100  # of one stream
FIRST_TOKEN_S, TOKENS_PER_S = 0.2, 50.0  # the model server's, at pace 1
COME_AGAIN_S = 0.2  # after a refusal
PLAN = "small"  # one sample, committed token by token

Pieces = AsyncGenerator[str, None]
Ask = Callable[[int, tuple[Turn, ...]], Pieces]
"""Number of the stream and a prompt in, pieces of text out."""


@dataclass(slots=True)
class Seen:
    """What the callers of many streams saw."""

    seconds: float = 0.0
    tokens: int = 0
    first_s: list[float] = field(default_factory=list)  # after the request
    # one per further token; tokens that come together: 0 between
    gaps_s: list[float] = field(default_factory=list)
    server_cpu_s: float = 0.0
    refused: int = 0  # streams that were not begun: the service was overloaded

    @property
    def tokens_per_s(self) -> float:
        """Of all streams together."""
        return self.tokens / self.seconds

    @property
    def tokens_per_core_s(self) -> float:
        """Tokens per second of the server's processor time."""
        return self.tokens / max(1e-9, self.server_cpu_s)

    def first_ms(self, quantile: float) -> float:
        """A quantile of the time to the first token."""
        return 1e3 * float(np.quantile(self.first_s, quantile))

    def gap_ms(self, quantile: float) -> float:
        """A quantile of the time from token to token."""
        return 1e3 * float(np.quantile(self.gaps_s, quantile))


def script(folder: Path) -> Path:
    """What the model server says: one line of words."""
    path = folder / "script.txt"
    path.write_text(" ".join(f"word{number % 97}" for number in range(WORDS)) + "\n", "utf-8")
    return path


def one_word(folder: Path) -> Path:
    """What a model server says that is asked for little: it takes `FIRST_TOKEN_S` and is done."""
    path = folder / "one_word.txt"
    path.write_text("word\n", "utf-8")
    return path


async def through(
    server: Running, asked: Iterator[tuple[Turn, ...]], streams: int, pace: float, s: float
) -> Seen:
    """`streams` streams through the service for `s` seconds."""
    async with connections(server.address, min(streams, 2 * CONNECTIONS)) as channels:
        calls: list[Any] = [channel.unary_stream(f"/{SERVICE}/GenerateStream") for channel in channels]

        async def ask(number: int, turns: tuple[Turn, ...]) -> Pieces:
            async for event in calls[number % len(calls)](request(turns, PLAN), metadata=server.metadata):
                yield committed_text(event)

        return await _watched(ask, asked, streams, pace, s, server.cpu_s)


async def direct(url: str, asked: Iterator[tuple[Turn, ...]], streams: int, pace: float, s: float) -> Seen:
    """The same straight from the model server."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(_number: int, turns: tuple[Turn, ...]) -> Pieces:
            messages = [{"role": role, "content": text} for role, text in turns]
            body = {"model": "stub", "messages": messages, "stream": True, "max_tokens": 4096}
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        yield (choices[0]["delta"].get("content") or "") if choices else ""

        return await _watched(ask, asked, streams, pace, s, lambda: 0.0)


async def _watched(
    ask: Ask,
    asked: Iterator[tuple[Turn, ...]],
    streams: int,
    pace: float,
    seconds: float,
    cpu_s: Callable[[], float],
) -> Seen:
    clock, seen = time.perf_counter, Seen()
    lasts_s = (FIRST_TOKEN_S + WORDS / TOKENS_PER_S) / pace
    watched_from = clock() + lasts_s + FIRST_TOKEN_S  # all streams have begun
    watched_to = watched_from + seconds
    cpu = [0.0, 0.0]

    async def watch() -> None:
        await asyncio.sleep(watched_from - clock())
        cpu[0] = cpu_s()
        await asyncio.sleep(watched_to - clock())
        cpu[1] = cpu_s()

    async def caller(number: int) -> None:
        await asyncio.sleep(number / streams * lasts_s)
        while clock() < watched_to:
            try:
                await _one(ask(number, next(asked)), seen, watched_from, watched_to)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                seen.refused += 1
                await asyncio.sleep(COME_AGAIN_S)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        callers = [group.create_task(caller(number)) for number in range(streams)]
        await watching
        for one in callers:
            one.cancel()
    seen.seconds, seen.server_cpu_s = seconds, cpu[1] - cpu[0]
    return seen


async def _one(pieces: Pieces, seen: Seen, since: float, until: float) -> None:
    clock = time.perf_counter
    sent, last = clock(), 0.0
    async with aclosing(pieces):
        async for text in pieces:
            if not text:
                continue
            now = clock()
            tokens = text.count("word")
            if since <= now < until:
                seen.tokens += tokens
                if last:
                    seen.gaps_s.append(now - last)
                else:
                    seen.first_s.append(now - sent)
                seen.gaps_s += [0.0] * (tokens - 1)
            last = now

"""One sample from an OpenAI-compatible server: streamed, timed, with its log-probabilities.

Knows HTTP and the chat-completions protocol; knows nothing of queries, journals or recordings.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from router.domain.plan import Prompt
from training.errors import TrainingError

RETRY_STATUS = frozenset((408, 409, 425, 429, 500, 502, 503, 504))


class TransientFailure(Exception):
    """The server cannot answer now; asking again may help, after `retry_after_s` if it is known."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedSample(TrainingError):
    """The server calls this request invalid; asking again will not help."""


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server as one backend of a recording."""

    name: str  # of the backend
    url: str  # without /v1
    model: str
    prompt: Prompt = Prompt()
    api_key: str = field(default="", repr=False)
    max_tokens: int = 256
    temperature: float = 0.7
    top_logprobs: int = 10  # 0: none asked for
    price_in: float = 0.0  # dollars per 1M tokens
    price_out: float = 0.0

    def params(self) -> dict[str, Any]:
        """What shapes the samples, apart from the query and the seed."""
        return {
            "model": self.model,
            "prompt": self.prompt.name,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def body(self, query: str, seed: int) -> dict[str, Any]:
        """The request for one sample."""
        text = f"{self.prompt.before}{query}{self.prompt.after}"
        system = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        logprobs = {"logprobs": True, "top_logprobs": self.top_logprobs} if self.top_logprobs else {}
        return {
            "model": self.model,
            "messages": [*system, {"role": "user", "content": text}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            **logprobs,
        }


@dataclass(slots=True)
class Reply:
    """What came back; None where the server did not say."""

    text: str = ""
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    first_token_s: float | None = None
    latency_s: float = 0.0
    logprob_sum: float = 0.0
    logprob_tokens: int = 0
    first_top: list[float] = field(
        default_factory=list
    )  # log-probabilities of the first token's alternatives

    @property
    def mean_logprob(self) -> float | None:
        """Nats per token, <= 0."""
        return min(0.0, self.logprob_sum / self.logprob_tokens) if self.logprob_tokens else None

    @property
    def first_entropy(self) -> float | None:
        """Nats over the first token's top alternatives, scaled to sum to 1; >= 0."""
        chances = [math.exp(value) for value in self.first_top]
        total = sum(chances)
        if not total:
            return None
        return max(0.0, -sum(p / total * math.log(p / total) for p in chances if p > 0))

    def add(self, chunk: Mapping[str, Any], elapsed_s: float) -> None:
        """Take in one event of the stream, or a whole reply that was not streamed."""
        usage = chunk.get("usage") or {}
        self.tokens_in = usage.get("prompt_tokens", self.tokens_in)
        self.tokens_out = usage.get("completion_tokens", self.tokens_out)
        for choice in chunk.get("choices") or ():
            piece = choice.get("delta") or choice.get("message") or {}
            text = piece.get("content") or ""
            if text and self.first_token_s is None:
                self.first_token_s = elapsed_s
            self.text += text
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            for token in (choice.get("logprobs") or {}).get("content") or ():
                if not self.logprob_tokens:
                    self.first_top = [other["logprob"] for other in token.get("top_logprobs") or ()]
                self.logprob_sum += token["logprob"]
                self.logprob_tokens += 1


async def draw(
    session: aiohttp.ClientSession,
    server: Server,
    query: str,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Reply:
    """Draw one sample. Raises TransientFailure, or RefusedSample for a request that will never be answered."""
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    started, reply, where = clock(), Reply(), f"{server.name} ({server.url})"
    try:
        async with session.post(
            f"{server.url}/v1/chat/completions", json=server.body(query, seed), headers=headers
        ) as response:
            if response.status != 200:
                await _refuse(where, response)
            if "event-stream" not in response.content_type:
                reply.add(await _whole(where, response), clock() - started)
            else:
                async for chunk in _events(where, response):
                    reply.add(chunk, clock() - started)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientFailure(f"{where}: {type(error).__name__}: {error}") from error
    if reply.finish_reason is None:
        raise TransientFailure(f"{where}: the stream ended before the sample did")
    reply.latency_s = clock() - started
    return reply


async def _refuse(where: str, response: aiohttp.ClientResponse) -> None:
    said = (await response.text(errors="replace"))[:300]
    message = f"{where}: HTTP {response.status}: {said}"
    if response.status in RETRY_STATUS:
        after = response.headers.get("Retry-After", "")
        raise TransientFailure(message, float(after) if after.isdigit() else None)
    raise RefusedSample(message)


async def _whole(where: str, response: aiohttp.ClientResponse) -> dict[str, Any]:
    said = await response.text(errors="replace")
    try:
        data = json.loads(said)
    except ValueError as error:
        raise RefusedSample(f"{where}: not an OpenAI-compatible answer: {said[:200]!r}") from error
    if not isinstance(data, dict) or not data.get("choices"):
        raise RefusedSample(f"{where}: an answer without choices: {said[:200]!r}")
    return data


async def _events(where: str, response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or data == b"[DONE]":
            continue
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise TransientFailure(f"{where}: a broken event in the stream: {data[:100]!r}") from error
        if "error" in chunk:
            raise TransientFailure(f"{where}: {chunk['error']}")
        yield chunk


async def models(session: aiohttp.ClientSession, url: str, api_key: str = "") -> list[str]:
    """The names of the models that a server offers (`/v1/models`); raise TrainingError if it cannot say."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        async with session.get(f"{url}/v1/models", headers=headers) as response:
            data = await response.json(content_type=None)
            return [entry["id"] for entry in data["data"]]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{url}: cannot list the models ({type(error).__name__}: {error})") from error

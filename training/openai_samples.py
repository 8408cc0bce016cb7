"""One sample from an OpenAI-compatible server: streamed, timed, with its log-probabilities.

Knows HTTP and the chat-completions protocol; knows nothing of queries, journals or recordings.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from router.backends.openai_errors import translated
from router.config import BackendConfig
from router.domain.plan import Prompt
from router.errors import BackendError
from training.check_points import CheckPoints
from training.errors import TrainingError
from training.openai_reply import Reply

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=600)
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
    way: BackendConfig = field(  # key, certificates, proxy: `open_session` reads nothing else of it
        default_factory=BackendConfig
    )
    max_tokens: int = 256
    temperature: float = 0.7
    top_logprobs: int = 10  # 0: none asked for
    price_in: float = 0.0  # dollars per 1M tokens
    price_out: float = 0.0
    check_points: CheckPoints = field(  # where its growing samples are asked for their answer
        default_factory=CheckPoints
    )

    hidden: str = ""  # folder where its connector leaves hidden states; "": none are asked for

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
        if self.check_points:
            logprobs |= {"logprobs": True}  # they say where the tokens end
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


async def draw(
    session: aiohttp.ClientSession,
    server: Server,
    body: Mapping[str, Any],
    clock: Callable[[], float] = time.perf_counter,
) -> Reply:
    """Send one request. Raises TransientFailure, or RefusedSample for one that will never be answered.

    `session` knows key, certificates and proxy. Raises TrainingError where the server's certificate is not trusted.
    """
    started, reply, where = clock(), Reply(), f"{server.name} ({server.url})"
    try:
        with translated(where):
            async with session.post(
                f"{server.url}/v1/chat/completions", json=body, timeout=TIMEOUT
            ) as response:
                if response.status != 200:
                    await _refuse(where, response)
                if "event-stream" not in response.content_type:
                    reply.add(await _whole(where, response), clock() - started)
                else:
                    async for chunk in _events(where, response):
                        reply.add(chunk, clock() - started)
    except BackendError as error:
        if isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError):
            raise TrainingError(str(error)) from error
        raise TransientFailure(str(error)) from error
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


async def models(session: aiohttp.ClientSession, server: Server) -> list[str]:
    """The names of the models that a server offers (`/v1/models`); raise TrainingError if it cannot say."""
    where = f"{server.name} ({server.url})"
    try:
        with translated(where):
            async with session.get(f"{server.url}/v1/models", timeout=TIMEOUT) as response:
                if response.status != 200:
                    raise TrainingError(f"{where}: cannot list the models: HTTP {response.status}")
                data = await response.json(content_type=None)
                return [entry["id"] for entry in data["data"]]
    except BackendError as error:  # whose text begins with `where`
        raise TrainingError(f"{error}; so it cannot list its models") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{where}: cannot list the models ({type(error).__name__}: {error})") from error

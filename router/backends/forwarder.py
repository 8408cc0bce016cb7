"""Requests that are no queries (embeddings, reranking, …), sent on to a model server as they came.

Nothing is read of them but what they used. The server's key is put on here, the caller's never leaves the house.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from router.backends.openai_chunks import WireUsage
from router.backends.openai_endpoints import Endpoints
from router.backends.openai_errors import translated
from router.backends.openai_session import open_session
from router.config import BackendConfig
from router.domain.usage import Usage
from router.errors import BackendUnavailable


class _Used(msgspec.Struct, frozen=True):
    usage: WireUsage | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What the server answers."""

    status: int
    content_type: str
    response: aiohttp.ClientResponse
    who: str
    timeout_s: float  # of a silence

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises `BackendError`."""
        while True:
            with translated(self.who, f"more of the reply within {self.timeout_s:g} s"):
                async with asyncio.timeout(self.timeout_s):
                    piece = await self.response.content.readany()
            if not piece:
                return
            yield piece


class Forwarder:
    """One backend's servers, asked for what they can do besides completing. Connects on the first request."""

    def __init__(self, name: str, config: BackendConfig, environ: Mapping[str, str] = os.environ) -> None:
        self.name, self.config = name, config
        self._environ, self._endpoints = environ, Endpoints.of(config.urls)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def send(
        self, method: str, path: str, content_type: str, body: bytes
    ) -> AsyncGenerator[Forwarded, None]:
        """The reply of the first url that can be reached, `path` with its query; leaving closes it.

        Raises `BackendError`.
        """
        session, loop = self._connected(), asyncio.get_running_loop()
        tried: list[str] = []
        while True:
            endpoint = self._endpoints.pick(loop.time(), tried)
            if endpoint is None:
                raise BackendUnavailable(f"{self.name}: no url can be reached")
            tried.append(endpoint.url)
            who = f"{self.name} at {endpoint.url}"
            try:
                with translated(who, f"reply within {self.config.timeout_s:g} s"):
                    async with asyncio.timeout(self.config.timeout_s):
                        response = await session.request(
                            method,
                            endpoint.url + path,
                            data=body or None,
                            headers={"Content-Type": content_type} if body else {},
                            allow_redirects=False,  # the key and the text go where the operator said
                        )
            except BackendUnavailable as error:
                endpoint.failed(loop.time(), error.wordless)
                if self._endpoints.pick(loop.time(), tried) is None:
                    raise
                continue
            endpoint.worked()
            endpoint.in_flight += 1
            try:
                kind = response.headers.get("Content-Type", "")
                yield Forwarded(response.status, kind, response, who, self.config.timeout_s)
            finally:
                endpoint.in_flight -= 1
                response.close()
            return

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session(self.name, self.config, self._environ)
        return self._session


def usage_in(body: bytes) -> Usage | None:
    """What a JSON reply says that it used; None where it says nothing."""
    try:
        said = msgspec.json.decode(body, type=_Used).usage
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if said is None or said.prompt_tokens is None:
        return None
    return Usage(said.prompt_tokens, tokens_out=said.completion_tokens or 0, samples=1)

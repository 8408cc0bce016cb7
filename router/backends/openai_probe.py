"""Questions to a model server outside of any plan: what it is, what it can do, how fast it is.

Stated ignorance: what is asked, and what the answers mean, is the caller's business. Each question is counted and ends
in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from router.backends.openai_chunks import DONE, ChatChunk, Chunk, EventReader, TextChunk, WireUsage
from router.backends.openai_errors import of_event, of_status, translated
from router.backends.openai_session import open_session
from router.config import BackendConfig
from router.errors import BackendError, BackendGarbled, BackendTimeout

LARGEST_REPLY = 8 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply, whatever its status."""

    status: int
    content_type: str
    body: bytes
    date: float | None  # the server's clock, seconds since the epoch

    @property
    def is_page(self) -> bool:
        """Whether it is for people: a proxy's or a web site's HTML."""
        return "html" in self.content_type or self.body.lstrip()[:15].lower().startswith(b"<!doctype html")

    def json(self) -> Any:
        """The decoded body, or None where it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeError):
            return None

    def error(self, who: str) -> BackendError:
        """The error that a status other than 200 stands for."""
        return of_status(who, self.status, self.content_type, self.body)


@dataclass(slots=True)
class Streamed:
    """A streamed completion as far as it was read. Times are seconds since it was sent."""

    pieces: int = 0  # with text or thought in them
    first_s: float | None = None  # to the first piece
    last_s: float | None = None  # to the latest piece
    usage: WireUsage | None = None  # the latest that came
    whole: bool = False  # it was read to its end

    @property
    def tokens(self) -> int:
        """Generated, as the server says, else one per piece."""
        reported = self.usage.completion_tokens if self.usage is not None else None
        return self.pieces if reported is None else reported


class Probe:
    """Asks one url until `ends_at` (the event loop's clock). Close it in the loop that it was made in."""

    def __init__(
        self, name: str, config: BackendConfig, url: str, environ: Mapping[str, str], ends_at: float
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.who = f"{name} at {self.url}"
        self.ends_at = ends_at
        self.requests = 0
        self._session = open_session(name, config, environ)

    async def close(self) -> None:
        """Release connections."""
        await self._session.close()

    def left_s(self) -> float:
        """Seconds until `ends_at`, not below 0."""
        return max(0.0, self.ends_at - asyncio.get_running_loop().time())

    async def get(self, path: str, within_s: float) -> Answer:
        """GET. Raises `BackendError` where nothing comes back."""
        return await self._whole("GET", path, None, within_s)

    async def post(self, path: str, body: Mapping[str, Any], within_s: float) -> Answer:
        """POST a JSON body. Raises `BackendError` where nothing comes back."""
        return await self._whole("POST", path, body, within_s)

    async def stream(self, path: str, body: Mapping[str, Any], within_s: float) -> Streamed:
        """Read a streamed completion, and leave it (which ends it at the server) after `within_s`.

        Raises `BackendTimeout` where not even a first piece came, `BackendError` for every other failure.
        """
        loop = asyncio.get_running_loop()
        started, heard = loop.time(), Streamed()
        decoder: msgspec.json.Decoder[Chunk] = msgspec.json.Decoder(
            ChatChunk if "chat" in path else TextChunk
        )
        response: aiohttp.ClientResponse | None = None
        try:
            with translated(self.who, f"token within {within_s:.1f} s"):
                async with asyncio.timeout(self._allowed(within_s)):
                    response = await self._send("POST", path, body)
                    if response.status != 200:
                        said = (await response.content.read(LARGEST_REPLY))[:65_536]
                        raise of_status(self.who, response.status, response.content_type, said)
                    await self._read(response, decoder, heard, started)
        except BackendTimeout:
            if heard.first_s is None:
                raise
        finally:
            if response is not None:
                response.close()
        return heard

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        decoder: msgspec.json.Decoder[Chunk],
        heard: Streamed,
        started: float,
    ) -> None:
        reader, clock = EventReader(), asyncio.get_running_loop().time
        received = b"-"
        while received:
            received = await response.content.readany()
            for event in reader.feed(received) if received else reader.finish():
                if event == DONE:
                    heard.whole = True
                    return
                try:
                    chunk = decoder.decode(event)
                except (msgspec.MsgspecError, UnicodeError) as error:
                    raise BackendGarbled(f"{self.who}: broken JSON in the stream: {error}") from error
                if chunk.error is not None:
                    raise of_event(self.who, chunk.error)
                heard.usage = chunk.usage or heard.usage
                pieces = [choice.piece() for choice in chunk.choices]
                if any(
                    piece and (piece.content or piece.reasoning or piece.reasoning_content)
                    for piece in pieces
                ):
                    heard.pieces += 1
                    heard.last_s = clock() - started
                    heard.first_s = heard.last_s if heard.first_s is None else heard.first_s
        heard.whole = heard.pieces > 0
        if not heard.pieces:
            raise BackendGarbled(f"{self.who}: no event stream where one was asked for")

    async def _whole(self, method: str, path: str, body: Mapping[str, Any] | None, within_s: float) -> Answer:
        with translated(self.who, f"reply to {method} {path} within {within_s:.1f} s"):
            async with asyncio.timeout(self._allowed(within_s)):
                response = await self._send(method, path, body)
                try:
                    said = bytearray()
                    async for piece in response.content.iter_any():
                        said += piece
                        if len(said) > LARGEST_REPLY:
                            raise BackendGarbled(f"{self.who}: {path}: more than {LARGEST_REPLY} bytes")
                    return Answer(response.status, response.content_type, bytes(said), _date(response))
                finally:
                    response.close()

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> aiohttp.ClientResponse:
        self.requests += 1
        sent = None if body is None else msgspec.json.encode(body)
        headers = {} if sent is None else {"Content-Type": "application/json"}
        return await self._session.request(
            method, self.url + path, data=sent, headers=headers, allow_redirects=False
        )

    def _allowed(self, within_s: float) -> float:
        return min(within_s, self.left_s())


def _date(response: aiohttp.ClientResponse) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None

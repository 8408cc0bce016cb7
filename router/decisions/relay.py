"""One process owns the store; its workers hand rows and questions to it over a socket that nobody else can reach.

A frame is 4 bytes of length and MessagePack. A worker says `Asked` (rows are not answered, questions are, by number);
the owner answers with `Answered`. Rows come before the questions that were asked after them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from router.decisions import DecisionStore
from router.decisions.rows import to_bytes, to_decision, to_outcome
from router.errors import InvalidQuery, RouterError, StoreError

HEAD = 4
LARGEST = 256 * 1024 * 1024  # bytes of a frame: a page of rows with long texts
ENVELOPE = 16 * 1024  # bytes of a frame besides its bodies: 5 of each of 1,000, and what is said of them
TOLD_EVERY_S = 0.5  # how the store does


class Asked(msgspec.Struct, array_like=True):
    """From a worker. `number` 0: rows, in `bodies`; nothing is answered."""

    number: int
    what: str = ""  # report | decision | outcomes | decisions
    bodies: list[bytes] = []  # rows, or outcomes
    name: str = ""  # of a decision
    page_size: int = 0
    page_token: str = ""
    tenant: str | None = None


class Answered(msgspec.Struct, array_like=True):
    """To a worker. `number` 0: how the store does, in `health`."""

    number: int
    bodies: list[bytes] = []
    new: list[bool] = []
    page_token: str = ""
    problem: list[str] = []  # of an `InvalidQuery`: field, problem, allowed; of a `StoreError`: its text
    health: dict[str, int | str] = {}


async def framed(reader: asyncio.StreamReader) -> bytes:
    """The next frame; raises `asyncio.IncompleteReadError` at the end, `StoreError` for one that cannot be."""
    size = int.from_bytes(await reader.readexactly(HEAD), "big")
    if size > LARGEST:
        raise StoreError(f"decision store: a frame of {size:,} bytes; at most {LARGEST:,}")
    return await reader.readexactly(size)


def fitting(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The bodies in order, as many together as one frame takes; one that fits none is alone."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (size + len(body) > LARGEST - ENVELOPE or len(part) == 1000):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        yield part


def frame(message: msgspec.Struct) -> bytes:
    """A message as it goes over the socket."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(HEAD, "big") + body


class Relay:
    """The owner's end: `serve` one socket per worker, `close` when the workers have ended."""

    def __init__(self, store: DecisionStore) -> None:
        self.store = store
        self.rows = 0  # that workers handed over
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions = msgspec.msgpack.Decoder(Asked)

    async def serve(self, end: socket.socket) -> None:
        """Serve a worker until it leaves; returns at once."""
        reader, writer = await asyncio.open_connection(sock=end)
        for work in (self._read(reader, writer), self._tell(writer)):
            self._begin(work)

    async def close(self) -> None:
        """End; what was handed over is the store's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = self._questions.decode(await framed(reader))
                if asked.number:
                    self._begin(self._answer(asked, writer))
                    continue
                self.rows += len(asked.bodies)
                for body in asked.bodies:
                    self.store.record(to_decision(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the worker has ended
        finally:
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answered(asked)
        except InvalidQuery as error:
            answer = Answered(asked.number, problem=[error.field, error.problem, error.allowed])
        except RouterError as error:
            answer = Answered(asked.number, problem=[str(error)])
        if not writer.is_closing():
            writer.write(frame(answer))
            await writer.drain()

    async def _answered(self, asked: Asked) -> Answered:
        if asked.what == "report":
            new = await self.store.report([to_outcome(body) for body in asked.bodies])
            return Answered(asked.number, new=list(new))
        if asked.what == "decision":
            row = await self.store.decision(asked.name)
            return Answered(asked.number, bodies=[] if row is None else [to_bytes(row)])
        if asked.what == "outcomes":
            found = await self.store.outcomes(asked.name)
            return Answered(asked.number, bodies=list(map(to_bytes, found)))
        size = asked.page_size
        while True:
            page = await self.store.decisions(size, asked.page_token, asked.tenant)
            rows = list(map(to_bytes, page.decisions))
            if size <= 1 or sum(map(len, rows)) < LARGEST - ENVELOPE:
                return Answered(asked.number, bodies=rows, page_token=page.next_token)
            size = max(1, min(size, len(rows)) // 2)  # a page may have fewer rows than were asked for

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            health = getattr(self.store, "health", None)  # a store in memory has none
            if health is not None:
                writer.write(frame(Answered(0, health=_plain(health))))
                await writer.drain()
            await asyncio.sleep(TOLD_EVERY_S)


def _plain(health: object) -> dict[str, int | str]:
    found: Mapping[str, int | str] = msgspec.to_builtins(health)
    return dict(found)

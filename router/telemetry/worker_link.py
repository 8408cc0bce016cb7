"""The counts of workers on their way to one page, over a socket that each worker is born with.

A worker tells what grows every second, so that a kill takes a second of it at most, and everything when a page is
asked for and when it ends. Who asks a worker for the page gets that of all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, PlatformCollector

from router.decisions.relay import frame, framed
from router.errors import StoreError
from router.telemetry.accumulators import Read
from router.telemetry.exposition import Metrics, exposed
from router.telemetry.merged_counts import MergedCounts
from router.telemetry.worker_counts import WorkerCounts, counts_so_far, sizes_of_process

EVERY_S = 1.0
TELLS_WITHIN_S = 2.0  # else what it told before is shown
SHOWN_WITHIN_S = 5.0
MOST_WAITING = 1 << 20  # bytes on their way; what grows is told again anyway


class Counted(msgspec.Struct, array_like=True, tag=True):
    """From a worker. `number` 0: unasked."""

    number: int
    told: WorkerCounts


class PageWanted(msgspec.Struct, array_like=True, tag=True):
    """From a worker, whom somebody asked for the page."""

    number: int
    accept: str


class TellNow(msgspec.Struct, array_like=True, tag=True):
    """To a worker."""

    number: int


class Page(msgspec.Struct, array_like=True, tag=True):
    """To a worker: the page of all."""

    number: int
    body: bytes
    content_type: str


class CountsSender:
    """A worker's end: `start`, `stop` when nothing is counted any more."""

    def __init__(self, end: socket.socket, metrics: Metrics) -> None:
        self._end, self._metrics = end, metrics
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[int, asyncio.Future[Page]] = {}
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Connect, and tell from now on."""
        reader, self._writer = await asyncio.open_connection(sock=self._end)
        self._tasks = [asyncio.create_task(work) for work in (self._read(reader), self._tell())]

    async def stop(self) -> None:
        """Tell for the last time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):
                self._send(Counted(0, self._counts(gauges=False)))
                await self._writer.drain()
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page of all workers and its content type. Raises `TimeoutError` or `ConnectionError` without one."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(PageWanted(number, accept))
            async with asyncio.timeout(SHOWN_WITHIN_S):
                page = await answer
        finally:
            del self._waiting[number]
        return page.body, page.content_type

    def _counts(self, *, gauges: bool) -> WorkerCounts:
        return counts_so_far(self._metrics, time.process_time(), gauges=gauges)

    def _send(self, message: Counted | PageWanted) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ConnectionResetError("the process that gathers metrics is gone")
        self._writer.write(frame(message))

    async def _tell(self) -> None:
        assert self._writer is not None  # noqa: S101 (`start` connected)
        while not self._writer.is_closing():
            if self._writer.transport.get_write_buffer_size() < MOST_WAITING:
                self._send(Counted(0, self._counts(gauges=False)))
            await asyncio.sleep(EVERY_S)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.msgpack.Decoder(TellNow | Page)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                said = decoder.decode(await framed(reader))
                if isinstance(said, TellNow):
                    self._send(Counted(said.number, self._counts(gauges=True)))
                elif (waiting := self._waiting.get(said.number)) is not None and not waiting.done():
                    waiting.set_result(said)


class CountsReceiver:
    """The end of the process that owns the workers: `serve` one socket per worker's life; `page` shows all."""

    def __init__(self, own: Callable[[], dict[str, Read]]) -> None:
        self.merged = MergedCounts(own, time.process_time, sizes_of_process)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self.merged)
        PlatformCollector(registry=self._registry)
        self._lives: dict[int, asyncio.StreamWriter] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, end: socket.socket) -> None:
        """Hear a worker until it ends; returns at once."""
        reader, writer = await asyncio.open_connection(sock=end)
        self._begin(self._hear(next(self._numbers), reader, writer))

    async def close(self) -> None:
        """Hear nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """What all workers say now, those that are slow what they said last, and its content type."""
        asked = {next(self._numbers): writer for writer in self._lives.values() if not writer.is_closing()}
        loop = asyncio.get_running_loop()
        for number, writer in asked.items():
            self._waiting[number] = loop.create_future()
            writer.write(frame(TellNow(number)))
        if asked:
            await asyncio.wait([self._waiting[number] for number in asked], timeout=TELLS_WITHIN_S)
            for number in asked:
                del self._waiting[number]
        return exposed(self._registry, accept)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, key: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = msgspec.msgpack.Decoder(Counted | PageWanted)
        self._lives[key] = writer
        try:
            while True:
                said = decoder.decode(await framed(reader))
                if isinstance(said, PageWanted):
                    self._begin(self._show(said, writer))
                    continue
                self.merged.update(key, said.told)
                waiting = self._waiting.get(said.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
        except (asyncio.IncompleteReadError, ConnectionError, StoreError, msgspec.DecodeError):
            pass  # the worker has ended, or died in a word
        finally:
            del self._lives[key]
            self.merged.end(key)
            writer.close()

    async def _show(self, wanted: PageWanted, writer: asyncio.StreamWriter) -> None:
        body, content_type = await self.page(wanted.accept)
        if not writer.is_closing():
            writer.write(frame(Page(wanted.number, body, content_type)))

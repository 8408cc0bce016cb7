"""A worker's end of the store that another process owns: the contract of `DecisionStore` over a socket.

Rows are handed over with the next turn of the event loop, all of a turn in one write. Where the owner cannot keep up,
rows above `MOST_WAITING` bytes are dropped and counted; where it is gone, `lost` is called once: the worker must end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from router.decisions import Page
from router.decisions.relay import ENVELOPE, LARGEST, Answered, Asked, fitting, frame, framed
from router.decisions.rows import page_start, readable_text, to_bytes, to_decision, to_outcome
from router.decisions.store import Health
from router.domain.decision import Decision, Outcome
from router.errors import InvalidQuery, StoreError

MOST_WAITING = 64 * 1024 * 1024  # bytes on their way to the owner
CLOSES_WITHIN_S = 10.0
NOTHING_YET = Health(0, 0, 0, 0, 0, 0, "")


class Relayed:
    """Connects with `begin` or its first use on the event loop. Belongs to that loop."""

    def __init__(self, end: socket.socket, lost: Callable[[], None]) -> None:
        self._end, self._lost = end, lost
        self._opening: asyncio.Task[asyncio.StreamWriter] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._rows: list[Decision] = []
        self._waiting: dict[int, asyncio.Future[Answered]] = {}
        self._number = 0
        self._dropped = 0
        self._closed = False
        self._health = NOTHING_YET

    @property
    def health(self) -> Health:
        """The store as its owner last told, and what was dropped on the way to it."""
        return replace(self._health, dropped=self._health.dropped + self._dropped)

    @property
    def dropped(self) -> int:
        """Rows that were not handed over."""
        return self._dropped

    def begin(self) -> None:
        """Connect now, on the running event loop: a worker that nobody asks must hear too that its owner is gone."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())

    def record(self, decision: Decision) -> None:
        if self._closed:
            self._dropped += 1
            return
        if not self._rows:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._rows.append(decision)

    async def report(self, outcomes: Sequence[Outcome]) -> tuple[bool, ...]:
        answer = await self._ask(what="report", bodies=list(map(to_bytes, outcomes)))
        return tuple(answer.new)

    async def decision(self, decision_id: str) -> Decision | None:
        answer = await self._ask(what="decision", name=readable_text(decision_id))
        return to_decision(answer.bodies[0]) if answer.bodies else None

    async def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        answer = await self._ask(what="outcomes", name=readable_text(decision_id))
        return tuple(map(to_outcome, answer.bodies))

    async def decisions(self, page_size: int, page_token: str = "", tenant: str | None = None) -> Page:
        page_start(page_size, page_token)
        of = None if tenant is None else readable_text(tenant)
        answer = await self._ask(what="decisions", page_size=page_size, page_token=page_token, tenant=of)
        return Page(tuple(map(to_decision, answer.bodies)), answer.page_token)

    async def close(self) -> None:
        """Hand over everything; the owner commits it."""
        if self._closed:
            return
        try:
            async with asyncio.timeout(CLOSES_WITHIN_S):
                await self.report(())  # behind all rows: they are the owner's when it is answered
        except TimeoutError:
            raise StoreError("decision store: its owner did not take the last rows") from None
        finally:
            self._closed = True
            if self._reading is not None:
                self._reading.cancel()
            if self._writer is not None:
                self._writer.close()

    async def _ask(self, **said: Any) -> Answered:
        writer = await self._connected()
        self._flush(writer)
        if self._closed or writer.is_closing():
            raise StoreError("decision store: the process that owns it is gone")
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(frame(Asked(number, **said)))
            await writer.drain()
            found: Answered = await answer
        except ConnectionError as error:
            raise StoreError("decision store: the process that owns it is gone") from error
        finally:
            del self._waiting[number]
        if len(found.problem) == 3:
            raise InvalidQuery(*found.problem)
        if found.problem:
            raise StoreError(found.problem[0])
        return found

    async def _connected(self) -> asyncio.StreamWriter:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> asyncio.StreamWriter:
        reader, self._writer = await asyncio.open_connection(sock=self._end)
        self._reading = asyncio.create_task(self._read(reader))
        return self._writer

    def _hand_over(self) -> None:
        if self._writer is None:
            asyncio.ensure_future(self._connected()).add_done_callback(lambda _: self._hand_over())
        else:
            self._flush(self._writer)

    def _flush(self, writer: asyncio.StreamWriter) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        if writer.is_closing() or writer.transport.get_write_buffer_size() > MOST_WAITING:
            self._dropped += len(rows)
            return
        for bodies in fitting(map(to_bytes, rows)):
            if len(bodies[0]) > LARGEST - ENVELOPE:
                self._dropped += 1
            else:
                writer.write(frame(Asked(0, bodies=bodies)))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        answers = msgspec.msgpack.Decoder(Answered)
        try:
            while True:
                answer = answers.decode(await framed(reader))
                if not answer.number:
                    self._health = msgspec.convert(answer.health, Health)
                    continue
                waiting = self._waiting.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the owner has ended"))
            if self._writer is not None:
                self._writer.close()
            if not self._closed:
                self._lost()

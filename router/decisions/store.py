"""Decisions and outcomes in a SQL database, the same for every one of them.

A thread of its own writes (see `writer`), another reads, the event loop waits for neither. An outcome is
acknowledged after its transaction has reached the disk. What a killed process had recorded and not yet committed is
known to have been there: its sequence numbers are counted in `Health.lost`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from router.decisions import Page
from router.decisions.batch import Report
from router.decisions.database import DECISION, DECISIONS, NAMES, OUTCOMES, Database
from router.decisions.names import Names
from router.decisions.owner import Owner
from router.decisions.packed import unpack
from router.decisions.rows import page_start, readable_text, subjects_of, to_outcome, token_behind
from router.decisions.writer import Writer
from router.domain.decision import Decision, Outcome
from router.errors import StoreError

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Health:
    """How the store does; everything but `lost` is about this process's life."""

    committed: int  # decisions
    spooled: int  # decisions that went to the spool
    in_spool: int  # decisions that are still there
    dropped: int  # decisions that could not be kept anywhere
    lost: int  # sequence numbers, of all replicas, that were missing when the store was opened
    failed_batches: int
    away: str  # why the database refuses; "" where it does not
    queued: int = 0  # decisions that wait for the writer


class Store:
    """The contract of `DecisionStore` over a `Database`; it owns `writer` and `owner`."""

    def __init__(self, database: Database, owner: Owner, writer: Writer) -> None:
        self._database = database
        self._owner = owner
        self._writer = writer
        self._names = Names()
        self._reader: Any = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="decision-reader")
        self._closed = False

    def record(self, decision: Decision) -> None:
        if not self._closed:
            self._owner.note(decision.replica, decision.sequence)
        self._writer.record(decision)

    async def report(self, outcomes: Sequence[Outcome]) -> tuple[bool, ...]:
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[tuple[bool, ...]] = loop.create_future()

        def settle(answer: tuple[bool, ...] | StoreError) -> None:
            if committed.done():  # the reporter left
                return
            if isinstance(answer, StoreError):
                committed.set_exception(answer)
            else:
                committed.set_result(answer)

        def done(answer: tuple[bool, ...] | StoreError) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, answer)

        self._writer.report(Report(tuple(outcomes), done))
        return await committed

    async def decision(self, decision_id: str) -> Decision | None:
        queued = self._writer.pending(decision_id)
        if queued is not None:
            return queued

        def read(connection: Any) -> Decision | None:
            rows = self._database.run(connection, DECISION, (readable_text(decision_id),)).fetchall()
            return self._unpacked(connection, *rows[0]) if rows else None

        return await self._read(read)

    async def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        decision = await self.decision(decision_id)
        subjects = (("decision", readable_text(decision_id)),) if decision is None else subjects_of(decision)
        tenant = () if decision is None else (readable_text(decision.tenant),)
        places = ", ".join("(?, ?)" for _ in subjects)
        query = OUTCOMES.format(places=places, tenant="AND tenant = ?" if tenant else "")
        values = [text for subject in subjects for text in subject]

        def read(connection: Any) -> tuple[Outcome, ...]:
            rows = self._database.run(connection, query, (*values, *tenant)).fetchall()
            return tuple(to_outcome(body) for (body,) in rows)

        return await self._read(read)

    async def decisions(self, page_size: int, page_token: str = "", tenant: str | None = None) -> Page:
        start = page_start(page_size, page_token)
        with contextlib.suppress(StoreError):
            await self.report(())  # what was recorded before is in the page, unless the database refuses
        where, values = ["1 = 1"], list[Any]()
        if start is not None:
            where.append("(created_at, n) < (?, ?)")
            values += start
        if tenant is not None:
            where.append("tenant = ?")
            values.append(readable_text(tenant))
        query = DECISIONS.format(where=" AND ".join(where))

        def read(connection: Any) -> Page:
            rows = self._database.run(connection, query, (*values, page_size + 1)).fetchall()
            page = tuple(
                self._unpacked(connection, name, owner, moment, body)
                for moment, _, name, owner, body in rows[:page_size]
            )
            more = len(rows) > page_size
            return Page(page, token_behind(rows[page_size - 1][:2]) if more else "")

        return await self._read(read)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._end)

    @property
    def health(self) -> Health:
        """The store now."""
        counts = self._writer.counts
        return Health(
            committed=counts.committed,
            spooled=counts.spooled,
            in_spool=self._writer.in_spool,
            dropped=counts.dropped,
            lost=counts.lost,
            failed_batches=counts.failed_batches,
            away=counts.away,
            queued=self._writer.queued,
        )

    def _unpacked(self, connection: Any, name: str, tenant: str, created_at: float, body: bytes) -> Decision:
        try:
            try:
                return unpack(name, tenant, created_at, body, self._names)
            except KeyError:  # names that came since the last look
                self._names.learn(self._database.run(connection, NAMES, (0,)).fetchall())
                return unpack(name, tenant, created_at, body, self._names)
        except (KeyError, msgspec.DecodeError) as error:
            raise StoreError(
                f"decision store {self._database.name}: the row of {name} is damaged: {error}"
            ) from error

    async def _read(self, read: Callable[[Any], Read]) -> Read:
        if self._closed:
            raise StoreError(f"decision store {self._database.name}: it is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._tried, read)

    def _tried(self, read: Callable[[Any], Read]) -> Read:
        """The answer; a connection that broke since the last question is made anew once."""
        for last in (False, True):
            try:
                if self._reader is None:
                    self._reader = self._database.connect_reader()
                return read(self._reader)
            except self._database.errors as error:
                broken, self._reader = self._reader, None
                if broken is not None:
                    with contextlib.suppress(*self._database.errors):
                        broken.close()
                if last or broken is None:
                    text = f"decision store {self._database.name}: cannot be read: {str(error).strip()}"
                    raise StoreError(text) from error
        raise AssertionError("the last try returns or raises")

    def _end(self) -> None:
        try:
            self._writer.close()
        finally:
            self._reading.shutdown()
            if self._reader is not None:
                with contextlib.suppress(*self._database.errors):
                    self._reader.close()
            self._owner.close()

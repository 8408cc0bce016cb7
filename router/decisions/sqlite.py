"""Decisions and outcomes in one SQLite file, owned by one process.

A thread of its own writes (see `writer`), another reads, the event loop waits for neither. An outcome is
acknowledged after its transaction has reached the disk. What a killed process had recorded and not yet committed is
known to have been there: its sequence numbers are counted in `Health.lost`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from router.decisions import Page
from router.decisions.owner import Owner
from router.decisions.rows import (
    page_start,
    readable_text,
    subjects_of,
    to_decision,
    to_outcome,
    token_behind,
)
from router.decisions.schema import open_reader, open_writer
from router.decisions.spool import Spool
from router.decisions.writer import Report, Writer
from router.domain.decision import Decision, Outcome
from router.errors import StoreError

Read = TypeVar("Read")

_OUTCOMES = """
    SELECT body FROM outcomes AS seen WHERE (subject, subject_id) IN (VALUES {places}) AND (? IS NULL OR tenant = ?)
    AND NOT EXISTS (SELECT 1 FROM outcomes AS later WHERE later.tenant = seen.tenant
                    AND later.supersedes = seen.key AND later.supersedes <> '')
    ORDER BY n
"""
_DECISIONS = """
    SELECT created_at, n, body FROM decisions
    WHERE (? IS NULL OR (created_at, n) < (?, ?)) {tenant} ORDER BY created_at DESC, n DESC LIMIT ?
"""
_REPLICAS = """
    SELECT min(first), max(last), sum(rows) FROM (
        SELECT replica, min(sequence) AS first, max(sequence) AS last, count(DISTINCT sequence) AS rows
        FROM decisions GROUP BY replica
        UNION ALL SELECT replica, first, last, 0 FROM recorded
    ) GROUP BY replica
"""
_RECORDED = """
    INSERT INTO recorded (replica, first, last) VALUES (?, ?, ?)
    ON CONFLICT (replica) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""


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


class SQLite:
    """The contract of `DecisionStore`; `open` makes one."""

    def __init__(
        self, path: Path, owner: Owner, connection: sqlite3.Connection, spool: Spool, writer: Writer
    ) -> None:
        self._path = path
        self._owner = owner
        self._connection = connection
        self._spool = spool
        self._writer = writer
        self._reader = open_reader(path, busy_s=1.0)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="decision-reader")
        self._lost = 0
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        batch_s: float = 0.02,  # how long a row waits for others
        max_queued: int = 10_000,  # rows kept in memory while the disk is slow or away
        busy_s: float = 1.0,  # how long another program's lock is waited for
        retry_s: float = 1.0,  # between two attempts while the database is away
    ) -> SQLite:
        """Open or make the file, bring its tables up to date, take back what was spooled, count what was lost.

        Blocks; call it before serving. Raises `StoreError`: another process owns the file, it is not ours, its
        folder cannot be written.
        """
        path = Path(path)
        with contextlib.ExitStack() as undo:
            owner = Owner(path)
            undo.callback(owner.close)
            connection = open_writer(path, busy_s)
            undo.callback(connection.close)
            try:
                spool = Spool(path.with_name(path.name + ".spool"))
            except OSError as error:
                raise StoreError(f"decision store {path}: its spool cannot be opened: {error}") from error
            undo.callback(spool.close)
            writer = Writer(connection, spool, batch_s=batch_s, max_queued=max_queued, retry_s=retry_s)
            store = cls(path, owner, connection, spool, writer)
            undo.callback(store._reader.close)
            store._take_over()
            writer.start()
            undo.pop_all()
        return store

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
        return queued if queued is not None else await self._read(lambda: self._stored(decision_id))

    async def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        decision = await self.decision(decision_id)
        subjects = (("decision", readable_text(decision_id)),) if decision is None else subjects_of(decision)
        tenant = None if decision is None else readable_text(decision.tenant)
        query = _OUTCOMES.format(places=", ".join("(?, ?)" for _ in subjects))
        values = [text for subject in subjects for text in subject]

        def read() -> tuple[Outcome, ...]:
            rows = self._reader.execute(query, (*values, tenant, tenant))
            return tuple(to_outcome(body) for (body,) in rows)

        return await self._read(read)

    async def decisions(self, page_size: int, page_token: str = "", tenant: str | None = None) -> Page:
        start = page_start(page_size, page_token)
        with contextlib.suppress(StoreError):
            await self.report(())  # what was recorded before is in the page, unless the database refuses
        moment, number = start or (None, None)
        chosen = () if tenant is None else (readable_text(tenant),)
        query = _DECISIONS.format(tenant="AND tenant = ?" if chosen else "")

        def read() -> Page:
            rows = self._reader.execute(query, (moment, moment, number, *chosen, page_size + 1)).fetchall()
            page = tuple(to_decision(body) for _, _, body in rows[:page_size])
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
            in_spool=self._spool.rows,
            dropped=counts.dropped,
            lost=self._lost + self._spool.torn,
            failed_batches=counts.failed_batches,
            away=counts.away,
        )

    def _take_over(self) -> None:
        """Commit the spool, keep what earlier owners noted, count what is missing; before anything is recorded."""
        try:
            self._writer.take_back()
            self._connection.execute("BEGIN IMMEDIATE")
            for replica, (first, last) in self._owner.left().items():
                self._connection.execute(_RECORDED, (replica, first, last))
            self._connection.execute("COMMIT")
            self._owner.clear()
            for first, last, rows in self._connection.execute(_REPLICAS).fetchall():
                self._lost += last - first + 1 - rows
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"decision store {self._path}: cannot be taken over: {error}") from error

    def _stored(self, decision_id: str) -> Decision | None:
        name = readable_text(decision_id)
        row = self._reader.execute("SELECT body FROM decisions WHERE decision_id = ?", (name,)).fetchone()
        return None if row is None else to_decision(row[0])

    async def _read(self, read: Callable[[], Read]) -> Read:
        if self._closed:
            raise StoreError(f"decision store {self._path}: it is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, read)
        except sqlite3.Error as error:
            raise StoreError(f"decision store {self._path}: cannot be read: {error}") from error

    def _end(self) -> None:
        try:
            self._writer.close()
        finally:
            self._reading.shutdown()
            self._reader.close()
            self._connection.close()
            self._spool.close()
            self._owner.close()

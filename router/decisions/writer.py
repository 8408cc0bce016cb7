"""The one thread that writes: decisions and outcomes in batches, one transaction each.

Nothing that it is handed waits for the disk. A row is committed within `batch_s` of its arrival plus the time of the
transaction. When the database refuses (locked, full, gone) decisions go to the spool and come back from there,
exactly once, with the first transaction that succeeds; outcomes fail to their reporter, who has no acknowledgement.
When the spool refuses too, rows stay in memory up to `max_queued`; what comes above that is dropped and counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from router.decisions.rows import (
    key_of,
    place_of,
    readable_text,
    subject_of,
    superseded_key,
    to_bytes,
    to_decision,
)
from router.decisions.spool import Spool
from router.domain.decision import Decision, Outcome
from router.errors import StoreError

BATCH = 500  # decisions in one transaction

Columns = tuple[str, str, str, int, float, str, str, bytes]

_INSERT_DECISION = """
    INSERT INTO decisions (decision_id, tenant, replica, sequence, created_at, plan, status, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (decision_id) DO NOTHING
"""
_INSERT_OUTCOME = """
    INSERT INTO outcomes (tenant, key, subject, subject_id, supersedes, metric, body)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, key) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Report:
    """Outcomes to commit, and who is told: `done` with what was new, or with the error. Called in the thread."""

    outcomes: Sequence[Outcome]
    done: Callable[[tuple[bool, ...] | StoreError], None]


@dataclass(slots=True)
class Counts:
    """What became of the decisions that were recorded in this process's life."""

    committed: int = 0  # of them, those that were there already count too
    spooled: int = 0
    dropped: int = 0  # no room in memory, or not to be written
    failed_batches: int = 0
    away: str = ""  # why the database refused the last batch; "" where it took it


class Writer:
    """Owns the connection and the spool from its making to `close`."""

    def __init__(
        self, connection: sqlite3.Connection, spool: Spool, *, batch_s: float, max_queued: int, retry_s: float
    ) -> None:
        self.counts = Counts()
        self._connection = connection
        self._spool = spool
        self._batch_s = batch_s
        self._max_queued = max_queued
        self._retry_s = retry_s
        self._wake = threading.Condition()
        self._decisions: deque[Decision] = deque()
        self._reports: deque[Report] = deque()
        self._pending: dict[str, Decision] = {}  # recorded, not yet committed; bounded like the queue
        self._closing = False
        self._stuck = False  # neither the database nor the spool took the last batch
        self._retry_at = 0.0  # monotonic
        self._log = structlog.get_logger("router.decisions")
        self._thread = threading.Thread(target=self._run, name="decision-writer", daemon=True)

    def take_back(self) -> None:
        """Commit what an earlier process spooled; before `start`. Raises `sqlite3.Error` or `OSError`."""
        if self._spool.rows:
            self._commit([], [])

    def start(self) -> None:
        """From now on the thread alone uses the connection and the spool."""
        self._thread.start()

    def record(self, decision: Decision) -> None:
        """Queue a row, or drop and count it where there is no room."""
        with self._wake:
            if self._closing or len(self._decisions) >= self._max_queued:
                self._drop(
                    1, "the store is closed" if self._closing else f"{self._max_queued} rows wait already"
                )
                return
            self._decisions.append(decision)
            self._pending[decision.decision_id] = decision
            if len(self._pending) > 2 * self._max_queued:  # the rest of them is in the spool
                del self._pending[next(iter(self._pending))]
            if len(self._decisions) in {1, BATCH}:
                self._wake.notify()

    def report(self, report: Report) -> None:
        """Queue outcomes; they are committed with the next batch, at once."""
        with self._wake:
            if self._closing or len(self._reports) >= self._max_queued:
                why = "it is closed" if self._closing else f"{self._max_queued} reports wait already"
                report.done(StoreError(f"decision store: {why}"))
                return
            self._reports.append(report)
            self._wake.notify()

    def pending(self, decision_id: str) -> Decision | None:
        """A row that was recorded and is not committed."""
        return self._pending.get(decision_id)

    def close(self) -> None:
        """Write everything that is queued and end the thread. Raises `StoreError` where rows could not be kept."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        if self._decisions:
            lost, self._decisions = len(self._decisions), deque()
            self._drop(lost, "the store was closed while neither it nor the spool took rows")
            raise StoreError(f"decision store: {lost} rows could not be written: {self.counts.away}")

    def _run(self) -> None:
        while True:
            decisions, reports = self._next()
            try:
                self._write(decisions, reports)
            except Exception as error:  # noqa: BLE001 (the thread must not end while the service runs)
                self._drop(len(decisions), f"they cannot be written: {error!r}")
                self._forget([decision.decision_id for decision in decisions])
                self._answer(reports, StoreError(f"decision store: {error!r}"))
            with self._wake:
                self._wake.notify_all()  # whoever waits for a batch
                if self._closing and (self._stuck or not (self._decisions or self._reports)):
                    self._answer(self._reports, StoreError("decision store: closed"))
                    return

    def _next(self) -> tuple[list[Decision], list[Report]]:
        with self._wake:
            while not (self._decisions or self._reports or self._closing):
                if not self._wake.wait(self._retry_s) and self._spool.rows:
                    break  # see whether the database is back
            if self._decisions and not (self._reports or self._closing or len(self._decisions) >= BATCH):
                self._wake.wait_for(
                    lambda: self._reports or self._closing or len(self._decisions) >= BATCH, self._batch_s
                )
            decisions = [self._decisions.popleft() for _ in range(min(BATCH, len(self._decisions)))]
            reports = list(self._reports)
            self._reports.clear()
        return decisions, reports

    def _write(self, decisions: list[Decision], reports: list[Report]) -> None:
        rows = [row for row in map(self._columns, decisions) if row is not None]
        self._stuck = False
        if self.counts.away and not reports and time.monotonic() < self._retry_at:
            self._keep_aside(decisions, rows)
            return
        try:
            spooled = self._commit(rows, reports)
        except (sqlite3.Error, OSError) as error:
            if not self.counts.away:
                self._log.error("decision store refused a batch; rows go to the spool", error=str(error))
            self.counts.failed_batches += 1
            self.counts.away = str(error)
            self._retry_at = time.monotonic() + self._retry_s
            self._answer(reports, StoreError(f"decision store: not committed: {error}"))
            self._keep_aside(decisions, rows)
            return
        if self.counts.away:
            self._log.warning("decision store is back", rows_from_the_spool=len(spooled))
            self.counts.away = ""
        self.counts.committed += len(rows)
        self._forget([*spooled, *(decision.decision_id for decision in decisions)])

    def _commit(self, rows: list[Columns], reports: list[Report]) -> list[str]:
        """One transaction: the spool, the rows, the outcomes. Answers the reports; returns the spooled ids."""
        spooled: list[str] = []
        answers: list[tuple[bool, ...]] = []
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._spool.rows:
                for record in self._spool:
                    row = self._columns(record)
                    if row is not None:
                        self._connection.execute(_INSERT_DECISION, row)
                        spooled.append(row[0])
            self._connection.executemany(_INSERT_DECISION, rows)
            answers.extend(tuple(map(self._insert, report.outcomes)) for report in reports)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        for report, new in zip(reports, answers, strict=True):
            report.done(new)
        reports.clear()
        if self._spool.rows:
            self._spool.clear()  # dying before this writes them again, to no effect: their ids are known
        return spooled

    def _insert(self, outcome: Outcome) -> bool:
        subject, subject_id = subject_of(outcome)
        texts = (readable_text(outcome.tenant), key_of(outcome), subject, subject_id, superseded_key(outcome))
        row = (*texts, readable_text(outcome.metric), to_bytes(outcome))
        return self._connection.execute(_INSERT_OUTCOME, row).rowcount == 1

    def _keep_aside(self, decisions: list[Decision], rows: list[Columns]) -> None:
        """Spool the rows; where that fails too put the decisions back and wait."""
        if not rows:
            return
        try:
            self._spool.append([row[-1] for row in rows])
        except OSError as error:
            self._stuck = True
            self.counts.away = f"{self.counts.away.partition('; the spool')[0]}; the spool too: {error}"
            with self._wake:
                self._decisions.extendleft(reversed(decisions))
                while len(self._decisions) > self._max_queued:
                    self._forget([self._decisions.pop().decision_id])
                    self._drop(1, self.counts.away)
                self._wake.wait_for(lambda: self._closing, self._retry_s)
        else:
            self.counts.spooled += len(rows)

    def _columns(self, source: Decision | bytes) -> Columns | None:
        try:
            decision = to_decision(source) if isinstance(source, bytes) else source
            name, tenant, replica, plan = map(
                readable_text, (decision.decision_id, decision.tenant, decision.replica, decision.plan)
            )
            sequence = max(-(2**63), min(decision.sequence, 2**63 - 1))
            moment, _ = place_of(decision, 0)
            return name, tenant, replica, sequence, moment, plan, decision.status.value, to_bytes(decision)
        except Exception as error:  # noqa: BLE001 (one bad row must not take its batch with it)
            self._drop(1, f"a decision cannot be written: {error!r}")
            return None

    def _forget(self, decision_ids: list[str]) -> None:
        with self._wake:
            for name in decision_ids:
                self._pending.pop(name, None)

    def _drop(self, rows: int, why: str) -> None:
        with self._wake:
            if rows and self.counts.dropped == 0:  # the counter tells the rest
                self._log.error("decision rows are dropped", why=why)
            self.counts.dropped += rows

    def _answer(self, reports: list[Report] | deque[Report], error: StoreError) -> None:
        for report in reports:
            report.done(error)
        reports.clear()

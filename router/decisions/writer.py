"""The one thread that writes: decisions and outcomes in batches, one transaction each.

Nothing that it is handed waits for the disk. A row is committed within `batch_s` of its arrival plus the time of the
transaction. When the database refuses (locked, full, gone) decisions go to the spool and come back from there,
exactly once, with the first transaction that succeeds; outcomes fail to their reporter, who has no acknowledgement.
When the spool refuses too, rows stay in memory up to `max_queued`; what comes above that is dropped and counted.
Between batches what is older than `retention_s` is thrown away.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from router.decisions.batch import Batches, Report
from router.decisions.database import Database
from router.decisions.rows import to_bytes
from router.decisions.spool import Spool
from router.domain.decision import Decision
from router.errors import StoreError

BATCH = 500  # decisions in one transaction
RETIRE_EVERY_S = 3600.0
SILENCE_S = 1.0  # a database that took so long to fail is not asked by every reporter


@dataclass(slots=True)
class Counts:
    """What became of the decisions that were recorded in this process's life."""

    committed: int = 0  # of them, those that were there already count too
    spooled: int = 0
    dropped: int = 0  # no room in memory, or not to be written
    failed_batches: int = 0
    away: str = ""  # why the database refused the last batch; "" where it took it
    lost: int = 0  # sequence numbers that were missing when the store was taken over


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the writer waits for what, and what it keeps."""

    batch_s: float = 0.02  # how long a row waits for others
    max_queued: int = 10_000  # rows kept in memory while the disk is slow or away
    retry_s: float = 1.0  # between two attempts while the database is away
    retention_s: float = 0.0  # rows that are older are thrown away; 0: none is
    wall_s: Callable[[], float] = time.time


class Writer:
    """Owns the connection and the spool from its making to `close`."""

    def __init__(
        self, database: Database, spool: Spool, pace: Pace, left: Mapping[str, tuple[int, int]]
    ) -> None:
        self.counts = Counts()
        self._database = database
        self._refusals: tuple[type[Exception], ...] = (*database.errors, OSError, StoreError)
        self._spool = spool
        self._pace = pace
        self._batches = Batches(database, spool, left, pace.wall_s, self._drop)
        self._wake = threading.Condition()
        self._decisions: deque[Decision] = deque()
        self._reports: deque[Report] = deque()
        self._pending: dict[str, Decision] = {}  # recorded, not yet committed; bounded like the queue
        self._closing = False
        # the last try to reach the database took long: reporters are refused without another
        self._silent = False
        self._stuck = False  # neither the database nor the spool took the last batch
        self._retry_at = 0.0  # monotonic
        self._retire_at = 0.0 if pace.retention_s > 0 else float("inf")  # monotonic
        self._log = structlog.get_logger("router.decisions")
        self._thread = threading.Thread(target=self._run, name="decision-writer", daemon=True)

    @property
    def in_spool(self) -> int:
        """Rows that are kept aside."""
        return self._spool.rows

    @property
    def queued(self) -> int:
        """Rows that wait for the thread."""
        return len(self._decisions)

    def take_back(self) -> None:
        """Commit what earlier processes left; before `start`. Raises one of the database's errors, or `StoreError`."""
        self._batches.commit([], [])
        self.counts.lost = self._batches.lost + self._spool.torn

    def stay_away(self, error: Exception) -> None:
        """The database could not be had before `start`: begin with the spool."""
        self.counts.away = str(error).strip()

    def abandon(self) -> None:
        """Close the connection of a writer that was never started."""
        self._batches.close()

    def start(self) -> None:
        """From now on the thread alone uses the connection and the spool."""
        self._thread.start()

    def record(self, decision: Decision) -> None:
        """Queue a row, or drop and count it where there is no room."""
        with self._wake:
            if self._closing or len(self._decisions) >= self._pace.max_queued:
                self._drop(
                    1,
                    "the store is closed" if self._closing else f"{self._pace.max_queued} rows wait already",
                )
                return
            self._decisions.append(decision)
            self._pending[decision.decision_id] = decision
            if len(self._pending) > 2 * self._pace.max_queued:  # the rest of them is in the spool
                del self._pending[next(iter(self._pending))]
            if len(self._decisions) in {1, BATCH}:
                self._wake.notify()

    def report(self, report: Report) -> None:
        """Queue outcomes; they are committed with the next batch, at once."""
        with self._wake:
            if self._closing or len(self._reports) >= self._pace.max_queued:
                why = "it is closed" if self._closing else f"{self._pace.max_queued} reports wait already"
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
        self._batches.close()
        self._spool.close()
        if self._decisions:
            lost, self._decisions = len(self._decisions), deque()
            self._drop(lost, "the store was closed while neither it nor the spool took rows")
            raise StoreError(f"decision store: {lost} rows could not be written: {self.counts.away}")

    def _run(self) -> None:
        while True:
            decisions, reports = self._next()
            try:
                self._write(decisions, reports)
                if not self.counts.away and time.monotonic() >= self._retire_at:
                    self._retire()
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
                wait_s = min(self._pace.retry_s, max(0.0, self._retire_at - time.monotonic()))
                if not self._wake.wait(wait_s) and (self._spool.rows or time.monotonic() >= self._retire_at):
                    break  # see whether the database is back; throw away
            if self._decisions and not (self._reports or self._closing or len(self._decisions) >= BATCH):
                self._wake.wait_for(
                    lambda: self._reports or self._closing or len(self._decisions) >= BATCH,
                    self._pace.batch_s,
                )
            decisions = [self._decisions.popleft() for _ in range(min(BATCH, len(self._decisions)))]
            reports = list(self._reports)
            self._reports.clear()
        return decisions, reports

    def _write(self, decisions: list[Decision], reports: list[Report]) -> None:
        self._stuck = False
        began = time.monotonic()
        if self.counts.away and began < self._retry_at and (self._silent or not reports):
            self._answer(reports, StoreError(f"decision store: not committed: {self.counts.away}"))
            self._keep_aside(decisions)
            return
        try:
            written = self._batches.commit(decisions, reports)
        except self._refusals as error:
            if not self.counts.away:
                self._log.error("decision store refused a batch; rows go to the spool", error=str(error))
            self.counts.failed_batches += 1
            self.counts.away = str(error).strip()
            self._retry_at = time.monotonic() + self._pace.retry_s
            self._silent = time.monotonic() - began > SILENCE_S
            self._answer(reports, StoreError(f"decision store: not committed: {self.counts.away}"))
            self._keep_aside(decisions)
            return
        self.counts.lost = self._batches.lost + self._spool.torn
        if self.counts.away:
            self._log.warning("decision store is back", rows_from_the_spool=len(written.spooled))
            self.counts.away = ""
        self.counts.committed += written.rows
        self._forget([*written.spooled, *(decision.decision_id for decision in decisions)])

    def _retire(self) -> None:
        """Throw away a part of what is too old; the next part follows at once, between batches."""
        try:
            more = self._batches.retire(self._pace.wall_s() - self._pace.retention_s)
        except self._refusals as error:
            more = False
            self._log.error("old rows cannot be thrown away; again in an hour", error=str(error).strip())
        self._retire_at = time.monotonic() + (0.0 if more else RETIRE_EVERY_S)

    def _keep_aside(self, decisions: list[Decision]) -> None:
        """Spool the rows; where that fails too put the decisions back and wait."""
        records = [record for record in map(self._record_of, decisions) if record is not None]
        if not records:
            return
        try:
            self._spool.append(records)
        except OSError as error:
            self._stuck = True
            self.counts.away = f"{self.counts.away.partition('; the spool')[0]}; the spool too: {error}"
            with self._wake:
                self._decisions.extendleft(reversed(decisions))
                while len(self._decisions) > self._pace.max_queued:
                    self._forget([self._decisions.pop().decision_id])
                    self._drop(1, self.counts.away)
                self._wake.wait_for(lambda: self._closing, self._pace.retry_s)
        else:
            self.counts.spooled += len(records)

    def _record_of(self, decision: Decision) -> bytes | None:
        try:
            return to_bytes(decision)
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

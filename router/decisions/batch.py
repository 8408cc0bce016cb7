"""One transaction: what is in the spool, new decisions, outcomes; and what must be known about a database before it.

Used by the thread that writes. After a failure nothing of the batch is there (or all of it, where the database died
between its commit and its answer): trying again is harmless, since decisions and keys are taken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from router.decisions.database import DELETED, MISSING, NOTE, Database, Row, Told, learn, note_rows
from router.decisions.names import Names
from router.decisions.packed import pack, repeated
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

SPOOLED_AT_ONCE = 500  # rows of the spool in one INSERT


@dataclass(frozen=True, slots=True)
class Report:
    """Outcomes to commit, and who is told: `done` with what was new, or with the error. Called in the thread."""

    outcomes: Sequence[Outcome]
    done: Callable[[tuple[bool, ...] | StoreError], None]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch wrote."""

    rows: int  # of the decisions that were handed in; those that were there already count too
    spooled: Sequence[str]  # ids of those that came from the spool


class Batches:
    """Owns the connection; connects when it is first needed and again after it broke."""

    def __init__(
        self,
        database: Database,
        spool: Spool,
        left: Mapping[str, tuple[int, int]],  # what earlier owners of the spool had recorded, by replica
        wall_s: Callable[[], float],
        drop: Callable[[int, str], None],
    ) -> None:
        self.lost = 0  # sequence numbers that were missing when the store was taken over
        self._database = database
        self._spool = spool
        self._left = dict(left)
        self._wall_s = wall_s
        self._drop = drop
        self._names = Names()
        self._connection: Any = None
        self._taken_over = False
        self._bad: list[str] = []  # why rows of the running batch cannot be written

    def commit(self, decisions: Sequence[Decision], reports: list[Report]) -> Committed:
        """Write all of it; answers and empties `reports`."""
        connection = self._connected()
        spooled: list[str] = []
        self._bad.clear()
        try:
            self._database.begin(connection)
            rows = self._rows(connection, decisions)
            for part in self._spooled(connection):
                spooled += [row.decision_id for row in part]
                note_rows(self._database, connection, self._database.insert_decisions(connection, part))
            note_rows(self._database, connection, self._database.insert_decisions(connection, rows))
            told = [[_told(outcome) for outcome in report.outcomes] for report in reports]
            flat = [one for each in told for one in each]
            new = iter(self._database.insert_outcomes(connection, flat, self._wall_s()))
            answers = [tuple(next(new) for _ in each) for each in told]
            self._take_over(connection)
            self._database.run(connection, "COMMIT")
        except BaseException:
            self._undo(connection)
            raise
        self._taken_over, self._left = True, {}
        for why in self._bad:
            self._drop(1, why)
        for report, answer in zip(reports, answers, strict=True):
            report.done(answer)
        reports.clear()
        if self._spool.rows:
            self._spool.clear()  # dying before this writes them again, to no effect: their ids are known
        return Committed(len(rows), spooled)

    def retire(self, before_s: float) -> bool:
        """Throw away some of what is older; whether more is left."""
        connection = self._connected()
        try:
            return self._database.retire(connection, before_s, self._wall_s())
        except BaseException:
            self._undo(connection)
            raise

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._database.errors):
                connection.close()

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def _undo(self, connection: Any) -> None:
        self._names = Names()  # what was learnt since the last commit may be gone
        usable = False
        with suppress(*self._database.errors):
            usable = self._database.rollback(connection)
        if not usable:
            self.close()

    def _take_over(self, connection: Any) -> None:
        """Keep what earlier owners noted, and count what is missing; once."""
        if self._taken_over:
            return
        for replica, (first, last) in sorted(self._left.items()):
            self._database.run(connection, NOTE, (readable_text(replica), first, last, 0))
        (missing,) = self._database.run(connection, MISSING).fetchone()
        self.lost = int(missing)

    def _spooled(self, connection: Any) -> Iterator[list[Row]]:
        """What is in the spool and was not deleted since."""
        if not self._spool.rows:
            return
        deleted = {
            (tenant, name): at for at, tenant, name in self._database.run(connection, DELETED).fetchall()
        }
        part: list[Decision] = []
        for record in self._spool:
            row = self._read(record)
            if row is not None and not _is_deleted(row, deleted):
                part.append(row)
            if len(part) == SPOOLED_AT_ONCE:
                yield self._rows(connection, part)
                part = []
        yield self._rows(connection, part)

    def _read(self, record: bytes) -> Decision | None:
        try:
            return to_decision(record)
        except Exception as error:  # noqa: BLE001 (one bad record must not keep all others)
            self._bad.append(f"a decision of the spool cannot be read: {error!r}")
            return None

    def _rows(self, connection: Any, decisions: Sequence[Decision]) -> list[Row]:
        learn(self._database, connection, self._names, (text for row in decisions for text in repeated(row)))
        rows = (self._row(decision) for decision in decisions)
        return [row for row in rows if row is not None]

    def _row(self, decision: Decision) -> Row | None:
        try:
            return _row(decision, self._names)
        except UnicodeEncodeError:
            return _row(to_decision(to_bytes(decision)), self._names)
        except Exception as error:  # noqa: BLE001 (one bad row must not take its batch with it)
            self._bad.append(f"a decision cannot be written: {error!r}")
            return None


def _row(decision: Decision, names: Names) -> Row:
    moment, _ = place_of(decision, 0)
    return Row(
        readable_text(decision.decision_id),
        readable_text(decision.tenant),
        moment,
        pack(decision, names),
        readable_text(decision.replica),
        decision.sequence,
    )


def _told(outcome: Outcome) -> Told:
    subject, subject_id = subject_of(outcome)
    tenant, superseded = readable_text(outcome.tenant), superseded_key(outcome)
    return Told(tenant, key_of(outcome), subject, subject_id, superseded, to_bytes(outcome))


def _is_deleted(row: Decision, deleted: Mapping[tuple[str, str], float]) -> bool:
    tenant, name = readable_text(row.tenant), readable_text(row.decision_id)
    return ("", name) in deleted or row.created_at <= deleted.get((tenant, ""), -1.0)

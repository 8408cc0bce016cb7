"""What a SQL database must be able to do to keep decisions and outcomes; the SQL that all of them understand.

SQLite (`sqlite.py`) and PostgreSQL (`postgres.py`) differ in how they connect, how a batch is inserted and how rows
are thrown away; everything else is `store.py` and `writer.py`, once for both. Texts are written with `?` as the mark
of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from router.decisions.names import Names, Repeated, to_value


@dataclass(frozen=True, slots=True)
class Row:
    """A decision as it is inserted."""

    decision_id: str
    tenant: str
    created_at: float  # seconds since the epoch, finite
    body: bytes
    replica: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome as it is inserted."""

    tenant: str
    key: str
    subject: str
    subject_id: str
    supersedes: str
    body: bytes


class Database(Protocol):
    """One database. Methods that take a connection run in the thread that owns it and raise one of `errors`."""

    @property
    def name(self) -> str:
        """For messages; without a password."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What it raises when it refuses or is gone."""
        ...

    def connect(self) -> Any:
        """A connection that writes, the tables up to date. Raises one of `errors`, or `StoreError` for other tables."""
        ...

    def connect_reader(self) -> Any:
        """A connection that only reads. Raises one of `errors`."""
        ...

    def run(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Any:
        """One statement, its cursor."""
        ...

    def stream(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        """The rows of a query, without holding all of them."""
        ...

    def begin(self, connection: Any) -> None:
        """Begin a transaction that inserts."""
        ...

    def rollback(self, connection: Any) -> bool:
        """Undo what was begun; whether the connection can be used again."""
        ...

    def insert_decisions(self, connection: Any, rows: Sequence[Row]) -> list[Row]:
        """Insert those that are new; they."""
        ...

    def insert_outcomes(self, connection: Any, told: Sequence[Told], now_s: float) -> list[bool]:
        """Insert those whose key is new within their tenant; which were."""
        ...

    def retire(self, connection: Any, before_s: float, now_s: float) -> bool:
        """Throw away some of what is older (seconds since the epoch), in its own transaction; whether more is left.

        A clock of after `now_s` says nothing of when an outcome came.
        """
        ...


OUTCOMES = """
    SELECT body FROM outcomes AS seen WHERE (subject, subject_id) IN (VALUES {places}) {tenant}
    AND NOT EXISTS (SELECT 1 FROM outcomes AS later WHERE later.tenant = seen.tenant
                    AND later.supersedes = seen.key AND later.supersedes <> '')
    ORDER BY n
"""
DECISION = "SELECT decision_id, tenant, created_at, body FROM decisions WHERE decision_id = ?"
DECISIONS = """
    SELECT created_at, n, decision_id, tenant, body FROM decisions
    WHERE {where} ORDER BY created_at DESC, n DESC LIMIT ?
"""
NOTE = """
    INSERT INTO replicas (replica, first, last, arrived) VALUES (?, ?, ?, ?)
    ON CONFLICT (replica) DO UPDATE SET
        first = CASE WHEN excluded.first < replicas.first THEN excluded.first ELSE replicas.first END,
        last = CASE WHEN excluded.last > replicas.last THEN excluded.last ELSE replicas.last END,
        arrived = replicas.arrived + excluded.arrived
"""
MISSING = "SELECT coalesce(sum(last - first + 1 - arrived), 0) FROM replicas"
NEW_NAME = "INSERT INTO names (value) VALUES (?) ON CONFLICT (value) DO NOTHING"
NAMES = "SELECT id, value FROM names WHERE id > ?"
DELETED = "SELECT at, tenant, decision_id FROM deletions"


def learn(database: Database, connection: Any, names: Names, texts: Iterable[Repeated] = ()) -> None:
    """Bring `names` up to date, after giving those of `texts` a number that should have one and do not."""
    missing = names.missing(texts)
    if missing:
        for text in missing:
            database.run(connection, NEW_NAME, (to_value(text),))
        names.learn(database.run(connection, NAMES, (0,)).fetchall())  # others may have filled gaps meanwhile
    elif not names.highest:
        names.learn(database.run(connection, NAMES, (0,)).fetchall())


def note_rows(database: Database, connection: Any, rows: Iterable[Row]) -> None:
    """Count rows that were inserted by the replica that made them, so that lost ones are seen."""
    seen: dict[str, tuple[int, int, int]] = {}
    for row in rows:
        first, last, arrived = seen.get(row.replica, (row.sequence, row.sequence, 0))
        seen[row.replica] = min(first, row.sequence), max(last, row.sequence), arrived + 1
    for replica in sorted(seen):  # in one order, so that two writers wait for each other and not in a circle
        database.run(connection, NOTE, (replica, *seen[replica]))

"""A store read by another process than those that write it: they notice nothing, and nothing is changed.

Everything that is read between opening and closing it is of one moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from router.connections.store_address import is_postgres
from router.decisions.database import DELETED, NAMES, Database
from router.decisions.names import Names
from router.decisions.packed import Packed, read_packed, unpack
from router.decisions.rows import to_outcome
from router.decisions.schema import APPLICATION_ID, MIGRATIONS, open_reader
from router.decisions.sqlite_database import SQLiteDatabase
from router.domain.decision import Decision, Outcome
from router.errors import StoreError

BUSY_S = 5.0  # readers wait for nobody in write-ahead mode, but for a file that is just being made

_COLUMNS = "n, decision_id, tenant, created_at, body"
_DECISIONS = (
    f"SELECT {_COLUMNS} FROM decisions WHERE created_at >= ? AND created_at < ? ORDER BY created_at, n"  # noqa: S608
)
_NUMBERED = f"SELECT {_COLUMNS} FROM decisions WHERE n > ? AND n <= ? ORDER BY n"  # noqa: S608
_NUMBERED_OUTCOMES = "SELECT n, received_at, body FROM outcomes WHERE n > ? AND n <= ? ORDER BY n"
_OLD_OUTCOMES = "SELECT n, 0.0, body FROM outcomes WHERE n > ? AND n <= ? ORDER BY n"
_OUTCOMES = """
    SELECT body, EXISTS (SELECT 1 FROM outcomes AS later WHERE later.tenant = seen.tenant
                         AND later.supersedes = seen.key AND later.supersedes <> '')
    FROM outcomes AS seen ORDER BY n
"""


@dataclass(frozen=True, slots=True)
class Ends:
    """The highest numbers in a store, 0 where there is nothing; all up to them are there for good, or never will be."""

    decisions: int
    outcomes: int
    deletions: int


@dataclass(frozen=True, slots=True)
class PackedRow:
    """A decision as it lies there; the numbers in `packed` stand for the look's names."""

    n: int
    decision_id: str
    tenant: str
    created_at: float  # seconds since the epoch
    packed: Packed


@dataclass(slots=True)
class ReadOnlyStore:
    """What was there when it was opened."""

    database: Database
    connection: Any
    spooled: bool  # a spool lies beside the store: it may hold rows that are not in it
    identity: str  # of the store: numbers of rows mean something within it
    ends: Ends
    packed: bool = True  # False: the first tables, without names, deletions and times of arrival
    names: Names = field(default_factory=Names)
    unreadable: int = 0  # rows and outcomes that `numbered_…` came across and left out

    def decisions(self, since: float, until: float) -> Iterator[Decision | None]:
        """Rows made in [since, until) (seconds since the epoch), oldest first; None for one that cannot be read."""
        self.learn()
        for _, name, tenant, created_at, body in self.database.stream(
            self.connection, _DECISIONS, (since, until)
        ):
            try:
                yield unpack(name, tenant, created_at, body, self.names)
            except (msgspec.DecodeError, KeyError, ValueError):
                yield None

    def numbered_decisions(self, after: int, upto: int) -> Iterator[PackedRow]:
        """Rows with a number in (after, upto], in order of arrival; what cannot be read is left out and counted."""
        self.learn()
        for n, name, tenant, created_at, body in self.database.stream(
            self.connection, _NUMBERED, (after, upto)
        ):
            try:
                yield PackedRow(n, name, tenant, created_at, read_packed(body))
            except (msgspec.DecodeError, ValueError):
                self.unreadable += 1

    def learn(self) -> None:
        """Bring `names` up to date."""
        if self.packed and not self.names.highest:
            self.names.learn(self.database.stream(self.connection, NAMES, (0,)))

    def outcomes(self) -> Iterator[tuple[bytes, bool]]:
        """All outcomes in order of arrival, and whether a later one superseded it."""
        for body, superseded in self.database.stream(self.connection, _OUTCOMES):
            yield body, bool(superseded)

    def numbered_outcomes(self, after: int, upto: int) -> Iterator[tuple[int, float, Outcome]]:
        """Outcomes with a number in (after, upto], in order of arrival, each with the time of it."""
        query = _NUMBERED_OUTCOMES if self.packed else _OLD_OUTCOMES
        for n, received_at, body in self.database.stream(self.connection, query, (after, upto)):
            try:
                outcome = to_outcome(body)
            except msgspec.DecodeError:
                self.unreadable += 1
            else:
                yield n, received_at or outcome.observed_at, outcome

    def arrived(self) -> dict[str, int]:
        """By replica: its rows that were ever committed, those that were thrown away since among them."""
        if not self.packed:
            return {}
        return dict(self.database.stream(self.connection, "SELECT replica, arrived FROM replicas"))

    def thrown_away(self, since: float) -> int:
        """How many decisions that were made since then may be gone: retention takes the oldest first.

        `since`: seconds since the epoch.
        """
        gone = sum(self.arrived().values())
        query = "SELECT count(*), min(created_at) FROM decisions"
        for there, oldest in self.database.stream(self.connection, query):
            gone = gone - there if oldest is None or oldest >= since else 0
        return max(0, gone)

    def deletions(self, after: int) -> Iterator[tuple[str, str, float]]:
        """Tenants ("" none), decisions ("" all of the tenant's) and the times of what was deleted since a number."""
        if self.packed:
            query = f"{DELETED} WHERE n > ? ORDER BY n"
            for at, tenant, decision_id in self.database.stream(self.connection, query, (after,)):
                yield tenant, decision_id, at


@contextmanager
def open_read_only(store: str | Path) -> Iterator[ReadOnlyStore]:
    """Open a store, its file or `postgresql://…`, for one look. Raises `StoreError`, also for what goes wrong in it."""
    address = str(store)
    if is_postgres(address):
        from router.decisions.postgres_database import PostgresDatabase, look_at_postgres

        postgres = PostgresDatabase(address)
        try:
            with look_at_postgres(postgres) as (reading, name, numbers):
                yield ReadOnlyStore(postgres, reading, spooled=False, identity=name, ends=Ends(*numbers))
        except postgres.errors as error:
            raise StoreError(f"decision store {postgres.name}: {str(error).strip()}") from error
        return
    path = Path(store)
    if not path.is_file():
        raise StoreError(f"decision store {path}: there is no such file")
    spool = path.with_name(path.name + ".spool")
    try:
        with closing(_open(path)) as connection:
            connection.execute("BEGIN")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            spooled = spool.is_file() and spool.stat().st_size > 0
            identity, ends = _identity(path, connection, version), _ends(connection, version)
            yield ReadOnlyStore(SQLiteDatabase(path), connection, spooled, identity, ends, version > 1)
    except sqlite3.Error as error:
        raise StoreError(f"decision store {path}: cannot be read: {error}") from error


def _identity(path: Path, connection: sqlite3.Connection, version: int) -> str:
    if version < 2:
        return str(path.absolute())
    (identity,) = connection.execute("SELECT identity FROM store").fetchone()
    return str(identity)


def _ends(connection: sqlite3.Connection, version: int) -> Ends:
    if version > 1:  # the highest numbers that were ever given, also to rows that were deleted since
        given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        return Ends(given.get("decisions", 0), given.get("outcomes", 0), given.get("deletions", 0))
    highest = "SELECT coalesce(max(n), 0) FROM"
    (decisions,) = connection.execute(f"{highest} decisions").fetchone()
    (outcomes,) = connection.execute(f"{highest} outcomes").fetchone()
    return Ends(decisions, outcomes, 0)


def _open(store: Path) -> sqlite3.Connection:
    connection = open_reader(store, BUSY_S)
    try:
        _check(store, connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return _open_still(store, error)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_still(store: Path, why: sqlite3.OperationalError) -> sqlite3.Connection:
    """A file that nobody writes to, as it lies.

    In write-ahead mode SQLite wants to make its index beside the file, which it cannot in a folder that it may not
    write to. A write-ahead file that was left behind holds rows that are not in the store's file: then it is an error.
    """
    ahead = store.with_name(store.name + "-wal")
    if ahead.exists() and ahead.stat().st_size > 0:
        raise StoreError(
            f"decision store {store}: {why}; {ahead.name} holds rows of it: copy both files to a folder "
            "that can be written, and read them there"
        ) from why
    address = f"file:{quote(str(store.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        _check(store, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(store: Path, connection: sqlite3.Connection) -> None:
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if identity != APPLICATION_ID:
        raise StoreError(f"decision store {store}: this is no decision store of apportion")
    if version > len(MIGRATIONS):
        raise StoreError(f"decision store {store}: written by a newer version (schema {version})")

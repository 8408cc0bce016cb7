"""A store's file read by another process than the one that owns it: the owner notices nothing, and nothing is changed.

Everything that is read within one look is of one moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from router.decisions.rows import to_decision, to_outcome
from router.decisions.schema import APPLICATION_ID, MIGRATIONS, open_reader
from router.domain.decision import Decision, Outcome
from router.errors import StoreError

BUSY_S = 5.0  # readers wait for nobody in write-ahead mode, but for a file that is just being made

_DECISIONS = "SELECT body FROM decisions WHERE created_at >= ? AND created_at < ? ORDER BY created_at, n"
_NUMBERED = "SELECT n, body FROM decisions WHERE n > ? AND n <= ? ORDER BY n"
_NUMBERED_OUTCOMES = "SELECT n, body FROM outcomes WHERE n > ? AND n <= ? ORDER BY n"
_ENDS = "SELECT (SELECT coalesce(max(n), 0) FROM decisions), (SELECT coalesce(max(n), 0) FROM outcomes)"
_OUTCOMES = """
    SELECT body, EXISTS (SELECT 1 FROM outcomes AS later WHERE later.tenant = seen.tenant
                         AND later.supersedes = seen.key AND later.supersedes <> '')
    FROM outcomes AS seen ORDER BY n
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What is there, as `router.decisions.rows.to_bytes` wrote it."""

    connection: sqlite3.Connection
    spooled: bool  # a spool lies beside the file: it may hold rows that are not in it
    identity: str  # of the store: numbers of rows mean something within it

    def ends(self) -> tuple[int, int]:
        """The highest number of a decision, and of an outcome; 0 where there is none."""
        decisions, outcomes = self.connection.execute(_ENDS).fetchone()
        return decisions, outcomes

    def numbered_decisions(self, after: int, upto: int) -> Iterator[tuple[int, Decision]]:
        """Rows with a number in (after, upto], in order of arrival."""
        for n, body in self.connection.execute(_NUMBERED, (after, upto)):
            yield n, to_decision(body)

    def numbered_outcomes(self, after: int, upto: int) -> Iterator[tuple[int, float, Outcome]]:
        """Outcomes with a number in (after, upto], in order of arrival, each with the time of it."""
        for n, body in self.connection.execute(_NUMBERED_OUTCOMES, (after, upto)):
            outcome = to_outcome(body)
            yield n, outcome.observed_at, outcome

    def decisions(self, since: float, until: float) -> Iterator[bytes]:
        """Rows made in [since, until) (seconds since the epoch), oldest first."""
        for (body,) in self.connection.execute(_DECISIONS, (since, until)):
            yield body

    def outcomes(self) -> Iterator[tuple[bytes, bool]]:
        """All outcomes in order of arrival, and whether a later one superseded it."""
        for body, superseded in self.connection.execute(_OUTCOMES):
            yield body, bool(superseded)


@contextmanager
def look_at(store: Path) -> Iterator[Look]:
    """Open the file for one look. Raises `StoreError`, also for what goes wrong while it is read."""
    if not store.is_file():
        raise StoreError(f"decision store {store}: there is no such file")
    spool = store.with_name(store.name + ".spool")
    try:
        with closing(_open(store)) as connection:
            connection.execute("BEGIN")
            yield Look(connection, spool.is_file() and spool.stat().st_size > 0, str(store.absolute()))
    except sqlite3.Error as error:
        raise StoreError(f"decision store {store}: cannot be read: {error}") from error


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

"""The SQLite file: its tables, how an older file becomes a newer one, and how it is opened.

To change the tables, append a script to `MIGRATIONS`; `PRAGMA user_version` counts the scripts that a file has had.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from router.errors import StoreError

APPLICATION_ID = 0x41505054  # "APPT", so that another program's file is never changed

MIGRATIONS = (
    """
    CREATE TABLE decisions (
        n INTEGER PRIMARY KEY,
        decision_id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        replica TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        created_at REAL NOT NULL,
        plan TEXT NOT NULL,
        status TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_time ON decisions (created_at, n);
    CREATE INDEX decisions_by_tenant ON decisions (tenant, created_at, n);
    CREATE INDEX decisions_by_sequence ON decisions (replica, sequence);
    CREATE TABLE outcomes (
        n INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        key TEXT NOT NULL,
        subject TEXT NOT NULL CHECK (subject IN ('decision', 'request', 'session')),
        subject_id TEXT NOT NULL,
        supersedes TEXT NOT NULL,
        metric TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (tenant, key)
    ) STRICT;
    CREATE INDEX outcomes_by_subject ON outcomes (subject_id, subject);
    CREATE INDEX outcomes_by_superseded ON outcomes (tenant, supersedes) WHERE supersedes <> '';
    CREATE TABLE recorded (
        replica TEXT PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    """,
    # Bodies without what repeats (`names`); numbers that are never given twice, so that exports may count on them;
    # rows by replica counted as they come, so that rows may be thrown away; what was deleted, for exports.
    """
    CREATE TABLE replicas (
        replica TEXT PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        arrived INTEGER NOT NULL
    ) STRICT;
    INSERT INTO replicas SELECT replica, min(first), max(last), sum(arrived) FROM (
        SELECT replica, min(sequence) AS first, max(sequence) AS last, count(DISTINCT sequence) AS arrived
        FROM decisions GROUP BY replica
        UNION ALL SELECT replica, first, last, 0 FROM recorded
    ) GROUP BY replica;
    DROP TABLE recorded;
    CREATE TABLE names (id INTEGER PRIMARY KEY, value BLOB NOT NULL UNIQUE) STRICT;
    CREATE TABLE store (identity TEXT NOT NULL) STRICT;
    INSERT INTO store VALUES (lower(hex(randomblob(8))));
    CREATE TABLE deletions (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        tenant TEXT NOT NULL,
        decision_id TEXT NOT NULL
    ) STRICT;
    ALTER TABLE decisions RENAME TO decisions_1;
    DROP INDEX decisions_by_time;
    DROP INDEX decisions_by_tenant;
    CREATE TABLE decisions (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        decision_id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        created_at REAL NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    INSERT INTO decisions SELECT n, decision_id, tenant, created_at, body FROM decisions_1 ORDER BY n;
    DROP TABLE decisions_1;
    CREATE INDEX decisions_by_time ON decisions (created_at);
    CREATE INDEX decisions_by_tenant ON decisions (tenant, created_at);
    ALTER TABLE outcomes RENAME TO outcomes_1;
    DROP INDEX outcomes_by_subject;
    DROP INDEX outcomes_by_superseded;
    CREATE TABLE outcomes (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        key TEXT NOT NULL,
        subject TEXT NOT NULL CHECK (subject IN ('decision', 'request', 'session')),
        subject_id TEXT NOT NULL,
        supersedes TEXT NOT NULL,
        received_at REAL NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (tenant, key)
    ) STRICT;
    INSERT INTO outcomes SELECT n, tenant, key, subject, subject_id, supersedes, unixepoch(), body
        FROM outcomes_1 ORDER BY n;
    DROP TABLE outcomes_1;
    CREATE INDEX outcomes_by_subject ON outcomes (subject_id, subject);
    CREATE INDEX outcomes_by_superseded ON outcomes (tenant, supersedes) WHERE supersedes <> '';
    """,
)


def open_writer(path: Path, busy_s: float) -> sqlite3.Connection:
    """The writing connection, its tables up to date. Raises `StoreError`.

    `synchronous=FULL` waits for the disk with every commit: an acknowledged outcome survives not only the death of
    the process (for which WAL alone would do) but that of the machine. One wait per batch, some 20 a second at most.
    """
    try:
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"decision store {path}: cannot be opened: {error}") from error
    try:
        _check_identity(path, connection)
        connection.execute("PRAGMA page_size = 8192")  # rows of some 1,000 bytes; of a new file only
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is not left in free pages
        _migrate(path, connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"decision store {path}: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def open_reader(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection that cannot write; the writer must have made the file. Raises `StoreError`."""
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        return sqlite3.connect(
            address, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StoreError(f"decision store {path}: cannot be read: {error}") from error


def check_ours(path: Path, busy_s: float = 1.0) -> None:
    """Look at what is there before anything is written, also beside it. Raises `StoreError` where it is not ours."""
    if not path.is_file() or not path.stat().st_size:
        return
    with contextlib.closing(open_reader(path, busy_s)) as connection:
        try:
            _check_identity(path, connection)
        except sqlite3.OperationalError:
            return  # locked, or being made: whoever opens it will see
        except sqlite3.DatabaseError as error:
            raise StoreError(f"decision store {path}: {error}; choose another path") from error


def _check_identity(path: Path, connection: sqlite3.Connection) -> None:
    # in this order: its owner may be making the file, tables and mark at once
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    if identity != APPLICATION_ID and tables:
        raise StoreError(f"decision store {path}: this is another program's SQLite file; choose another path")


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"decision store {path}: written by a newer version (schema {version}, this one knows {len(MIGRATIONS)})"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {number}; COMMIT;"
        )

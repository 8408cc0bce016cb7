"""The SQLite file: its tables, how an older file becomes a newer one, and how it is opened.

To change the tables, append a script to `MIGRATIONS`; `PRAGMA user_version` counts the scripts that a file has had.
"""

from __future__ import annotations

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
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
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


def _check_identity(path: Path, connection: sqlite3.Connection) -> None:
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
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

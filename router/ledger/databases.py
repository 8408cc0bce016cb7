"""The databases that accounts can be shared through, and which one an address names."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from router.connections.store_address import is_postgres, without_user
from router.errors import ConfigError, StoreError
from router.ledger.connected import Dialect
from router.ledger.shared import Memory, SharedStore
from router.ledger.sql import SQL

IN_MEMORY = ":memory:"
APPLICATION_ID = 0x41505042  # "APPB", so that another program's file is never changed; also an advisory lock
WAIT_S = 5  # for a lock or a statement
AGAIN_S = 0.01  # between two tries
PATIENCE_S = 2.0  # with a server that says nothing: queries that are short of money wait for it, once


def open_shared(address: str, base: Path, wall_s: Callable[[], float]) -> SharedStore:
    """`:memory:`, `postgresql://…`, or a file relative to `base`. Raises `ConfigError`; connects later.

    A password stands in PGPASSWORD or in ~/.pgpass, never in the address.
    """
    if address == IN_MEMORY:
        return Memory(wall_s)
    return SQL(*database(address, base, wall_s))


def open_to_look(address: str, base: Path) -> SQL:
    """The store of an address for audits: nothing in it is made or changed, and a user that may only read suffices.

    Raises `ConfigError`; connects later.
    """
    dialect, name = database(address, base, time.time)
    if is_postgres(address):
        dialect = replace(dialect, begin="BEGIN READ ONLY", alone="")
    else:
        uri = f"file:{quote(str((base / address).absolute()))}?mode=ro"
        dialect = replace(
            dialect,
            begin="BEGIN",
            connect=lambda: sqlite3.connect(uri, WAIT_S, isolation_level=None, uri=True),
        )
    return SQL(dialect, name, looks=True)


def database(address: str, base: Path, wall_s: Callable[[], float]) -> tuple[Dialect, str]:
    """How to talk to a server or a file relative to `base` (":memory:" is a file for this), and its name in messages.

    Raises `ConfigError` where an extra is missing.
    """
    if is_postgres(address):
        return postgresql(address), without_user(address)
    path = Path(address) if address == IN_MEMORY else base / address
    return sqlite(path, wall_s), str(path)


def sqlite(path: Path, wall_s: Callable[[], float]) -> Dialect:
    """A file on this machine, shared by its processes; the clock is this machine's."""

    def connect() -> Any:
        connection = sqlite3.connect(path, WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            # in this order: another process may be making the file, and puts our mark on it before its tables
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (identity,) = connection.execute("PRAGMA application_id").fetchone()
            if identity != APPLICATION_ID and tables:
                raise StoreError(f"store of budgets {path}: this is another program's SQLite file")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _write_ahead(connection)
            # what was taken is on the disk before it is spent
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    return Dialect(
        connect,
        (sqlite3.Error,),
        wall_s,
        mark="?",
        begin="BEGIN IMMEDIATE",
        serial="INTEGER",
        bytes="BLOB",
        there="SELECT 1 FROM sqlite_master WHERE name = '{table}'",
    )


def _write_ahead(connection: sqlite3.Connection) -> None:
    """For this change SQLite refuses at once instead of waiting, where several processes make the file together."""
    for left in reversed(range(round(WAIT_S / AGAIN_S))):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not left or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def postgresql(address: str) -> Dialect:
    """A PostgreSQL server; the clock is the server's. Raises `ConfigError` where the extra is not installed."""
    try:
        import psycopg

        from router.connections.postgres_connection import connect
    except ImportError as error:
        raise ConfigError(
            "store.ledger: a PostgreSQL address needs the extra `postgres`: pip install '.[postgres]' in the checkout"
        ) from error
    limits = {"statement_timeout": WAIT_S, "lock_timeout": WAIT_S, "idle_in_transaction_session_timeout": 60}
    options = " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items())
    return Dialect(
        lambda: connect(address, options, PATIENCE_S),
        (psycopg.Error,),
        lambda: 0.0,
        mark="%s",
        begin="BEGIN",
        serial="BIGSERIAL",
        bytes="BYTEA",
        lock="FOR UPDATE",
        alone=f"SELECT pg_advisory_xact_lock({APPLICATION_ID})",
        clock="extract(epoch from clock_timestamp())::float8",
        there="SELECT 1 WHERE to_regclass('{table}') IS NOT NULL",
        snapshot="SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    )

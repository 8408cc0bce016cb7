"""Deleting from a store what a tenant or a decision left there, while replicas write to it.

Decisions and what was reported about them are removed in small transactions; a note of the deletion stays, so that
exports forget the rows, too, and rows that still lie in a spool do not come back. What a session's outcome says about
several decisions stays when one of them is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.connections.store_address import is_postgres
from router.decisions.database import Database
from router.decisions.names import Names
from router.decisions.packed import unpack
from router.decisions.read_only import open_read_only
from router.decisions.rows import readable_text
from router.decisions.sqlite_database import SQLiteDatabase
from router.domain.decision import SHADOW_SUFFIX
from router.errors import StoreError, UnknownName

AT_ONCE = 1000  # rows in one transaction

_NOTE = "INSERT INTO deletions (at, tenant, decision_id) VALUES (?, ?, ?)"
_DECISIONS = """
    DELETE FROM decisions WHERE decision_id IN (
        SELECT decision_id FROM decisions WHERE tenant = ? AND created_at <= ? LIMIT ?
    )
"""
_OUTCOMES = """
    DELETE FROM outcomes WHERE n IN (SELECT n FROM outcomes WHERE tenant = ? AND received_at <= ? LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows that are gone."""

    decisions: int
    outcomes: int
    batches: int = 0  # whole ones, with their queries and results


def erase_tenant(store: str | Path, tenant: str, now_s: float) -> Erased:
    """All decisions and outcomes of a tenant up to now. Raises `StoreError`."""
    name = readable_text(tenant)
    with _opened(store) as (database, connection):
        with _transaction(database, connection):
            database.run(connection, _NOTE, (now_s, name, ""))
        decisions = _erase_all(database, connection, _DECISIONS, name, now_s)
        return Erased(decisions, _erase_all(database, connection, _OUTCOMES, name, now_s))


def erase_decision(store: str | Path, decision_id: str, now_s: float) -> Erased:
    """One decision with its shadow run, and what was reported about it and its request.

    Raises `StoreError` or `UnknownName`.
    """
    name = readable_text(decision_id)
    with _opened(store) as (database, connection):
        query = "SELECT decision_id, tenant, created_at, body FROM decisions WHERE decision_id = ?"
        rows = database.run(connection, query, (name,)).fetchall()
        if not rows:
            raise UnknownName("decision", decision_id)
        names = Names()
        names.learn(database.run(connection, "SELECT id, value FROM names", ()).fetchall())
        found_as, owner, created_at, body = rows[0]
        found = unpack(found_as, owner, created_at, body, names)
        subjects = [("decision", name), ("request", readable_text(found.request_id))]
        with _transaction(database, connection):
            gone = told = 0
            for one in (name, name + SHADOW_SUFFIX):  # which says the same query's text
                database.run(connection, _NOTE, (now_s, "", one))
                gone += database.run(
                    connection, "DELETE FROM decisions WHERE decision_id = ?", (one,)
                ).rowcount
            for kind, subject in subjects:
                if subject:
                    told += database.run(
                        connection,
                        "DELETE FROM outcomes WHERE tenant = ? AND subject = ? AND subject_id = ?",
                        (owner, kind, subject),
                    ).rowcount
        return Erased(gone, told)


def _erase_all(database: Database, connection: Any, text: str, tenant: str, until: float) -> int:
    """Delete a tenant's rows, a part at a time; how many there were."""
    gone = 0
    while True:
        with _transaction(database, connection):
            deleted = int(database.run(connection, text, (tenant, until, AT_ONCE)).rowcount)
        gone += deleted
        if deleted < AT_ONCE:
            return gone


@contextmanager
def _opened(store: str | Path) -> Iterator[tuple[Database, Any]]:
    address = str(store)
    database: Database
    with open_read_only(address):
        pass  # raises where there is none: connecting to write would make one
    if is_postgres(address):
        from router.decisions.postgres_database import PostgresDatabase

        database = PostgresDatabase(address)
    else:
        database = SQLiteDatabase(Path(store), busy_s=10.0)
    try:
        with closing(database.connect()) as connection:
            yield database, connection
            if isinstance(database, SQLiteDatabase):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still holds what was deleted
    except database.errors as error:
        raise StoreError(f"decision store {database.name}: {str(error).strip()}") from error


@contextmanager
def _transaction(database: Database, connection: Any) -> Iterator[None]:
    database.begin(connection)
    try:
        yield
        database.run(connection, "COMMIT")
    except BaseException:
        database.rollback(connection)
        raise

"""SQLite as a `Database`: one file of this machine, written by one process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.decisions.database import Row, Told
from router.decisions.schema import open_reader, open_writer

RETIRED_AT_ONCE = 2000  # rows in one transaction: the writer is held up for some milliseconds

_INSERT_DECISION = """
    INSERT INTO decisions (decision_id, tenant, created_at, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (decision_id) DO NOTHING
"""
_INSERT_OUTCOME = """
    INSERT INTO outcomes (tenant, key, subject, subject_id, supersedes, received_at, body)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, key) DO NOTHING
"""
_RETIRE = (
    "DELETE FROM decisions WHERE n IN (SELECT n FROM decisions WHERE created_at < ? ORDER BY created_at LIMIT ?)",
    """
    DELETE FROM outcomes WHERE n IN (
        SELECT n FROM outcomes WHERE n <= ? AND (received_at < ? OR n < ?) ORDER BY n LIMIT ?
    )
    """,
)
_FIRST_BELIEVED = "SELECT n, received_at FROM outcomes WHERE received_at <= ? ORDER BY n LIMIT 1"


@dataclass(frozen=True, slots=True)
class SQLiteDatabase:
    """See the module."""

    path: Path
    busy_s: float = 1.0  # how long another program's lock is waited for
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    @property
    def name(self) -> str:
        return str(self.path)

    def connect(self) -> sqlite3.Connection:
        return open_writer(self.path, self.busy_s)

    def connect_reader(self) -> sqlite3.Connection:
        return open_reader(self.path, self.busy_s)

    def run(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Any:
        return connection.execute(text, values)

    def stream(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        rows: Iterable[Any] = connection.execute(text, values)
        return rows

    def begin(self, connection: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def rollback(self, connection: Any) -> bool:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return True

    def insert_decisions(self, connection: Any, rows: Sequence[Row]) -> list[Row]:
        insert = connection.execute
        return [
            row
            for row in rows
            if insert(_INSERT_DECISION, (row.decision_id, row.tenant, row.created_at, row.body)).rowcount == 1
        ]

    def insert_outcomes(self, connection: Any, told: Sequence[Told], now_s: float) -> list[bool]:
        insert = connection.execute
        return [
            insert(
                _INSERT_OUTCOME,
                (one.tenant, one.key, one.subject, one.subject_id, one.supersedes, now_s, one.body),
            ).rowcount
            == 1
            for one in told
        ]

    def retire(self, connection: Any, before_s: float, now_s: float) -> bool:
        decisions = connection.execute(_RETIRE[0], (before_s, RETIRED_AT_ONCE)).rowcount
        # outcomes are in the order of their arrival: what has a time of the future came before the next one
        (first, at) = connection.execute(_FIRST_BELIEVED, (now_s,)).fetchone() or (0, now_s)
        ahead = first if at < before_s else 0
        bounds = (first + RETIRED_AT_ONCE, before_s, ahead, RETIRED_AT_ONCE)
        outcomes = connection.execute(_RETIRE[1], bounds).rowcount
        return bool(decisions or outcomes)

"""Processes that make the file of budgets together."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router.ledger import databases


class Refusing(sqlite3.Connection):
    """Refuses the change of the journal some times, as SQLite does where others are about to change it."""

    refusals = 3
    code = sqlite3.SQLITE_BUSY

    def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
        if "journal_mode" in sql and Refusing.refusals:
            Refusing.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = Refusing.code
            raise error
        return super().execute(sql, *rest)  # type: ignore[arg-type]


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> type[Refusing]:
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Refusing)
    )
    return Refusing


def test_a_journal_that_others_are_changing_is_changed_when_they_have(
    refusing: type[Refusing], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(refusing, "refusals", 3)
    connection = databases.sqlite(tmp_path / "budgets.db", lambda: 0.0).connect()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    monkeypatch.setattr(refusing, "refusals", 1)
    monkeypatch.setattr(refusing, "code", sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError):
        databases.sqlite(tmp_path / "budgets.db", lambda: 0.0).connect()


def test_six_at_once_all_get_it(tmp_path: Path) -> None:
    for number in range(40):
        together = threading.Barrier(6)

        def make(path: Path, together: threading.Barrier = together) -> None:
            dialect = databases.sqlite(path, lambda: 0.0)
            together.wait()
            dialect.connect().close()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(make, [tmp_path / f"{number}.db"] * 6))

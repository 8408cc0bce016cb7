"""Short documents that replicas share, in the database of their budgets: the releases, and the mode.

A note has a number; of two with one name the higher number holds, and writing a lower or equal one changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from router.errors import StoreError
from router.ledger.databases import IN_MEMORY, is_postgres, postgresql, sqlite
from router.ledger.sql import Dialect

TABLE = "CREATE TABLE IF NOT EXISTS control_notes (name TEXT PRIMARY KEY, number BIGINT NOT NULL, body TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class Note:
    """One document."""

    number: int
    body: str  # JSON


class Notes(Protocol):
    """May block; raises `StoreError`."""

    def read(self) -> dict[str, Note]:
        """All of them, by name."""
        ...

    def write(self, name: str, note: Note) -> bool:
        """Whether it is kept: no other has its number or a higher one."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class InMemory:
    """The contract of `Notes` for one process."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def read(self) -> dict[str, Note]:
        return dict(self._notes)

    def write(self, name: str, note: Note) -> bool:
        known = self._notes.get(name)
        if known is not None and known.number >= note.number:
            return False
        self._notes[name] = note
        return True

    def close(self) -> None:
        return


class InDatabase:
    """The contract of `Notes` over SQL; connects when it is first used, and again after a failure."""

    def __init__(self, dialect: Dialect, name: str) -> None:
        self.name, self._dialect = name, dialect
        self._connection: Any = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, Note]:
        with self._translated() as connection:
            rows = connection.execute("SELECT name, number, body FROM control_notes").fetchall()
        return {name: Note(int(number), body) for name, number, body in rows}

    def write(self, name: str, note: Note) -> bool:
        mark = self._dialect.mark
        text = f"""
            INSERT INTO control_notes (name, number, body) VALUES ({mark}, {mark}, {mark})
            ON CONFLICT (name) DO UPDATE SET number = excluded.number, body = excluded.body
            WHERE control_notes.number < excluded.number
        """  # noqa: S608 (a mark is ours)
        with self._translated() as connection:
            return bool(connection.execute(text, (name, note.number, note.body)).rowcount > 0)

    def close(self) -> None:
        with self._lock:
            self._drop()

    @contextmanager
    def _translated(self) -> Iterator[Any]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._dialect.connect()
                    self._connection.execute(self._dialect.begin)
                    if self._dialect.alone:
                        self._connection.execute(self._dialect.alone)
                    self._connection.execute(TABLE)
                    self._connection.execute("COMMIT")
                yield self._connection
            except self._dialect.errors as error:
                self._drop()
                raise StoreError(f"shared notes {self.name}: {str(error).strip()}") from error
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._dialect.errors):
                connection.close()


def open_notes(address: str, base: Path, wall_s: Callable[[], float]) -> Notes:
    """Beside the budgets at `address` (see `open_shared`); connects later. Raises `ConfigError`."""
    if address == IN_MEMORY:
        return InMemory()
    if is_postgres(address):
        return InDatabase(postgresql(address), urlsplit(address)._replace(query="").geturl())
    return InDatabase(sqlite(base / address, wall_s), str(base / address))

"""Short documents that replicas share, in the database of their budgets: the releases, and the mode.

A note has a number; of two with one name the higher number holds, and writing a lower or equal one changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from router.ledger.connected import Connected, Dialect
from router.ledger.databases import IN_MEMORY, database

Result = TypeVar("Result")

PUBLISH_S = 1.0  # an operator waits so long for the shared store; then it is told with the next look
ATTEMPTS = 5  # of a change that others make at the same time
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


class Elsewhere(Protocol):
    """Runs a blocking call on a thread."""

    def __call__(self, call: Callable[[], Result], /) -> Awaitable[Result]:
        """What the call returns or raises."""
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
        self._mark = dialect.mark
        self._connected = Connected(
            dialect, f"shared notes {name}", lambda connection: connection.execute(TABLE)
        )

    def read(self) -> dict[str, Note]:
        with self._connected.use() as connection:
            rows = connection.execute("SELECT name, number, body FROM control_notes").fetchall()
        return {name: Note(int(number), body) for name, number, body in rows}

    def write(self, name: str, note: Note) -> bool:
        mark = self._mark
        text = f"""
            INSERT INTO control_notes (name, number, body) VALUES ({mark}, {mark}, {mark})
            ON CONFLICT (name) DO UPDATE SET number = excluded.number, body = excluded.body
            WHERE control_notes.number < excluded.number
        """  # noqa: S608 (a mark is ours)
        with self._connected.use() as connection:
            return bool(connection.execute(text, (name, note.number, note.body)).rowcount > 0)

    def close(self) -> None:
        self._connected.close()


def offered(notes: Notes, name: str, note: Note) -> dict[str, Note] | None:
    """Write a note; None: it is kept, else all notes as they are. May block; raises `StoreError`."""
    return None if notes.write(name, note) else notes.read()


def open_notes(address: str, base: Path, wall_s: Callable[[], float]) -> Notes:
    """Beside the budgets at `address` (see `open_shared`); connects later. Raises `ConfigError`."""
    if address == IN_MEMORY:
        return InMemory()
    return InDatabase(*database(address, base, wall_s))

"""The log as a report reads it: a SQLite store opened read-only, also while a server owns it.

Both reads see the store at one moment. Rows are decoded as far as a report needs them; what older versions did not
write has its default.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

from router.decisions.schema import APPLICATION_ID, MIGRATIONS, open_reader
from router.domain.decision import Mode, Status
from router.errors import StoreError
from router.shadow import SHADOW_OF, SHADOW_RUN

_DECISIONS = "SELECT body FROM decisions WHERE created_at >= ? AND created_at < ? ORDER BY created_at, n"
_OUTCOMES = """
    SELECT key, body, EXISTS (SELECT 1 FROM outcomes AS later WHERE later.tenant = seen.tenant
                              AND later.supersedes = seen.key AND later.supersedes <> '')
    FROM outcomes AS seen ORDER BY n
"""
BUSY_S = 5.0


class Row(msgspec.Struct, frozen=True, gc=False):
    """A decision; see `router.domain.decision.Decision`."""

    decision_id: str
    created_at: float
    mode: Mode
    bundle: str
    plan: str
    digest: str
    status: Status
    request_id: str = ""
    session_id: str = ""
    tenant: str = ""
    usable: bool = False
    unusable_reason: str = ""
    would_plan: str = ""
    probabilities: dict[str, float] = {}
    forecasts: dict[str, tuple[float | None, float]] = {}
    stop_reason: str = ""
    answer: str | None = None
    confidence: float | None = None
    cost: float = 0.0
    latency_s: float = 0.0
    metadata: dict[str, str] = {}

    @property
    def shadow_of(self) -> str:
        """The decision that this is a shadow run of; "" for a caller's query, whatever its metadata say."""
        return self.metadata.get(SHADOW_OF, "") if self.unusable_reason == SHADOW_RUN else ""

    @property
    def replied(self) -> bool:
        """Whether there was a reply."""
        return self.status not in (Status.FAILED, Status.CANCELLED) and self.stop_reason != "decided"


class Reported(msgspec.Struct, frozen=True, gc=False):
    """An outcome; see `router.domain.decision.Outcome`."""

    metric: str
    value: float | bool | str
    kind: str
    decision_id: str = ""
    request_id: str = ""
    session_id: str = ""
    sample_id: str = ""
    weight: float = 1.0
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """What a period of a store holds."""

    rows: tuple[Row, ...]  # oldest first
    outcomes: tuple[Reported, ...]  # without what was superseded
    superseded: int  # outcomes that a later report took back
    unreadable: int  # rows and outcomes that could not be decoded
    spooled: bool  # a spool lies beside the file: it may hold rows that are not in it


def read_log(store: Path, since: float, until: float) -> Log:
    """Decisions made in [since, until) (seconds since the epoch), and all outcomes. Raises `StoreError`."""
    if not store.is_file():
        raise StoreError(f"decision store {store}: there is no such file")
    rows: list[Row] = []
    outcomes: list[Reported] = []
    superseded = unreadable = 0
    row_of, outcome_of = msgspec.msgpack.Decoder(Row), msgspec.msgpack.Decoder(Reported)
    try:
        with closing(_open(store)) as connection:
            connection.execute("BEGIN")
            for (body,) in _fetched(connection, _DECISIONS, (since, until)):
                try:
                    rows.append(row_of.decode(body))
                except msgspec.DecodeError:
                    unreadable += 1
            for _, body, later in _fetched(connection, _OUTCOMES, ()):
                if later:
                    superseded += 1
                    continue
                try:
                    outcomes.append(outcome_of.decode(body))
                except msgspec.DecodeError:
                    unreadable += 1
    except sqlite3.Error as error:
        raise StoreError(f"decision store {store}: cannot be read: {error}") from error
    spool = store.with_name(store.name + ".spool")
    spooled = spool.is_file() and spool.stat().st_size > 0
    return Log(tuple(rows), tuple(outcomes), superseded, unreadable, spooled)


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


def _fetched(
    connection: sqlite3.Connection, query: str, values: tuple[float, ...]
) -> Iterator[tuple[bytes, ...]]:
    yield from connection.execute(query, values)

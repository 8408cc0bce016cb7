"""Decisions and outcomes of many replicas on one PostgreSQL server; each keeps a spool of its own beside it.

Replicas of one machine may share a folder: each takes the first spool that nobody holds, `NAME.0`, `NAME.1`, …, and
gives the rows that a dead one left in another to the server.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from router.decisions.owner import Owner
from router.decisions.postgres_database import PostgresDatabase
from router.decisions.spool import Spool
from router.decisions.store import Store
from router.decisions.writer import Pace, Writer
from router.errors import StoreError

MOST_REPLICAS = 64  # that share a folder


class Postgres(Store):
    """The contract of `DecisionStore`; `open` makes one."""

    @classmethod
    def open(
        cls,
        address: str,
        aside: str | Path,
        *,
        batch_s: float = 0.02,  # how long a row waits for others
        max_queued: int = 10_000,  # rows kept in memory while the server is slow or away
        retry_s: float = 1.0,  # between two attempts while it is away
        retention_s: float = 0.0,  # what is older is thrown away; 0: nothing is
        wall_s: Callable[[], float] = time.time,
    ) -> Postgres:
        """Begin to write to the server, through the spool `aside` (a file's name, numbered) while it is away.

        Blocks; call it before serving. A server that cannot be reached does not keep a replica from starting. Raises
        `StoreError`: the database is another program's, its tables are newer, the folder of `aside` cannot be written.
        """
        database = PostgresDatabase(address)
        pace = Pace(batch_s, max_queued, retry_s, retention_s, wall_s)
        owner, place = _free(Path(aside))
        with contextlib.ExitStack() as undo:
            undo.callback(owner.close)
            spool = _spool(place)
            undo.callback(spool.close)
            left = dict(owner.left()) | _adopted(Path(aside), place, spool)
            writer = Writer(database, spool, pace, left)
            undo.callback(writer.abandon)
            try:
                writer.take_back()
                owner.clear()
            except database.errors as error:
                structlog.get_logger("router.decisions").error(
                    "decision store is away", error=str(error).strip()
                )
                writer.stay_away(error)
            writer.start()
            undo.pop_all()
        return cls(database, owner, writer)


def _free(aside: Path) -> tuple[Owner, Path]:
    """The first place that no living process holds."""
    why: StoreError | None = None
    for number in range(MOST_REPLICAS):
        place = aside.with_name(f"{aside.name}.{number}")
        try:
            return Owner(place), place
        except StoreError as error:
            if "has it open" not in str(error):
                raise
            why = error
    raise StoreError(f"decision store: {MOST_REPLICAS} replicas share {aside.parent} already") from why


def _adopted(aside: Path, mine: Path, spool: Spool) -> dict[str, tuple[int, int]]:
    """Take over the rows of spools that nobody holds any more; and what their owners had recorded."""
    noted: dict[str, tuple[int, int]] = {}
    for file in sorted(aside.parent.glob(f"{aside.name}.*.spool")):
        place = file.with_name(file.name.removesuffix(".spool"))
        if place == mine:
            continue
        with contextlib.suppress(StoreError):
            owner = Owner(place)
            noted |= owner.left()
            left = _spool(place)
            rows = list(left)
            if rows:
                spool.append(rows)
                left.clear()  # dying before this leaves them twice, to no effect: their ids are taken once
            left.close()
            owner.close()
    return noted


def _spool(place: Path) -> Spool:
    try:
        return Spool(place.with_name(place.name + ".spool"))
    except OSError as error:
        raise StoreError(f"decision store: its spool {place}.spool cannot be opened: {error}") from error

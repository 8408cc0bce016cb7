"""Decisions and outcomes in one SQLite file, owned by one process."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from router.decisions.owner import Owner
from router.decisions.schema import check_ours
from router.decisions.spool import Spool
from router.decisions.sqlite_database import SQLiteDatabase
from router.decisions.store import Store
from router.decisions.writer import Pace, Writer
from router.errors import StoreError


class SQLite(Store):
    """The contract of `DecisionStore`; `open` makes one."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        batch_s: float = 0.02,  # how long a row waits for others
        max_queued: int = 10_000,  # rows kept in memory while the disk is slow or away
        busy_s: float = 1.0,  # how long another program's lock is waited for
        retry_s: float = 1.0,  # between two attempts while the database is away
        retention_s: float = 0.0,  # what is older is thrown away; 0: nothing is
        wall_s: Callable[[], float] = time.time,
    ) -> SQLite:
        """Open or make the file, bring its tables up to date, take back what was spooled, count what was lost.

        Blocks; call it before serving. Raises `StoreError`: another process owns the file, it is not ours, its
        folder cannot be written.
        """
        path = Path(path)
        database = SQLiteDatabase(path, busy_s)
        check_ours(path, busy_s)
        pace = Pace(batch_s, max_queued, retry_s, retention_s, wall_s)
        with contextlib.ExitStack() as undo:
            owner = Owner(path)
            undo.callback(owner.close)
            try:
                spool = Spool(path.with_name(path.name + ".spool"))
            except OSError as error:
                raise StoreError(f"decision store {path}: its spool cannot be opened: {error}") from error
            undo.callback(spool.close)
            writer = Writer(database, spool, pace, owner.left())
            undo.callback(writer.abandon)
            try:
                writer.take_back()
            except (sqlite3.Error, OSError) as error:
                raise StoreError(f"decision store {path}: cannot be taken over: {error}") from error
            owner.clear()
            writer.start()
            undo.pop_all()
        return cls(database, owner, writer)

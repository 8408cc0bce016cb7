"""Copying a SQLite store while it is written to; a copy that was not finished leaves nothing behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from router.decisions.read_only import BUSY_S, open_read_only
from router.decisions.schema import open_reader
from router.errors import StoreError

PAGES = 2000  # in one go; the writer's commits go in between
PAUSE_S = 0.01


def back_up(store: Path, copy: Path) -> int:
    """Copy a store of decisions into a new file; its bytes. Raises `StoreError`, also where it is no such store."""
    with open_read_only(store):
        pass  # an empty file would become an empty copy, and be taken for one
    return copy_file(store, copy)


def copy_file(path: Path, copy: Path) -> int:
    """Copy a SQLite file of ours, of one moment, into a new file; its bytes. Raises `StoreError`."""
    if copy.exists():
        raise StoreError(f"{copy}: is there already")
    draft = copy.with_name(f".{copy.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        with closing(open_reader(path, BUSY_S)) as source, closing(sqlite3.connect(draft)) as target:
            source.backup(target, pages=PAGES, sleep=PAUSE_S)
        draft.replace(copy)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot be copied to {copy}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return copy.stat().st_size

"""What `collect` has drawn so far: an append-only file of JSON lines that survives `kill -9`.

A row is written whole, in one call, and flushed to the disk every few rows. A line that was torn by the end of the
process is cut off when the journal is opened again; a sample that stands in it twice counts once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from training.errors import TrainingError

SYNC_EVERY = 32  # rows; what a loss of power, not of the process, may cost

Key = tuple[str, str, int]
"""query_id, backend, sample_idx."""


def key_of(row: Mapping[str, Any]) -> Key:
    """What a row is a sample of."""
    return row["query_id"], row["backend"], row["sample_idx"]


def text_mark(text: str) -> str:
    """A short hash of a query's text: a journal must not mix two texts under one id."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in file order, first of equals only, a torn last line left out."""
    seen: set[Key] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
                key = key_of(row)
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingError(f"{path}: line {number} is not a journal's row: {line[:80]!r}") from error
            if key not in seen:
                seen.add(key)
                yield row


class Journal:
    """The open journal of one collection; `done` holds the keys that need not be drawn again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._unsynced = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise TrainingError(f"{self.path}: another collection is writing here") from error
        self._cut_torn_line()
        self.marks: dict[str, str] = {}
        self.done: set[Key] = set()
        for row in read_rows(self.path):
            self.done.add(key_of(row))
            self.marks[row["query_id"]] = row["mark"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        if os.write(self._file, line) != len(line):
            raise TrainingError(f"{self.path}: the disk is full")
        self.done.add(key_of(row))
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            os.fsync(self._file)
            self._unsynced = 0

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        end = size
        while end:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

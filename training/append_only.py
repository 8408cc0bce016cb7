"""A file of JSON lines that is only appended to, by one process at a time, and that survives `kill -9`.

A line is written whole, in one call. One that was torn by the end of the process is cut off when the file is opened
again, and left out by whoever only reads.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from training.errors import TrainingError

SYNC_EVERY = 32  # lines; what a loss of power, not of the process, may cost


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file in order, without their ends; [] where there is no file."""
    content = path.read_bytes() if path.is_file() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


class AppendOnlyLines:
    """The open file. Raises `TrainingError` where another process has it, which is said to do `work`."""

    def __init__(self, path: Path, work: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._unsynced = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise TrainingError(f"{path}: another {work} is writing here") from error
        self._cut_torn_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have it."""
        os.fsync(self._file)
        os.close(self._file)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one line. Raises `TrainingError` where the disk is full."""
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        if os.write(self._file, line) != len(line):
            raise TrainingError(f"{self.path}: the disk is full")
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

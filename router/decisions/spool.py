"""Rows that the store would not take, in a local write-ahead file, until it takes them: each exactly once.

A record is its length, its CRC-32 and its bytes. `append` returns when the records are on the disk. A record that a
dying process left half-written ends the file: it is cut off there and counted.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

HEADER = struct.Struct("<II")  # bytes of the record, their CRC-32


class Spool:
    """One file beside the store; used by one thread. Its methods raise `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0  # half-written records that were cut off
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.rows = sum(1 for _ in self)

    def __iter__(self) -> Iterator[bytes]:
        """The records in order; cuts off what is damaged."""
        at, size = 0, os.fstat(self._file).st_size
        while at < size:
            header = os.pread(self._file, HEADER.size, at)
            length, checksum = HEADER.unpack(header) if len(header) == HEADER.size else (size, 0)
            whole = length <= size - at - HEADER.size
            record = os.pread(self._file, length, at + HEADER.size) if whole else b""
            if not whole or zlib.crc32(record) != checksum:
                self.torn += 1
                os.ftruncate(self._file, at)
                return
            yield record
            at += HEADER.size + length

    def append(self, records: Sequence[bytes]) -> None:
        """Write all of the records and wait for the disk; on an error none of them is there."""
        size = os.fstat(self._file).st_size
        data = b"".join(HEADER.pack(len(record), zlib.crc32(record)) + record for record in records)
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self.rows += len(records)

    def clear(self) -> None:
        """Empty the file, once its rows are committed elsewhere."""
        os.ftruncate(self._file, 0)
        os.fsync(self._file)
        self.rows = 0

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        empty = os.fstat(self._file).st_size == 0
        os.close(self._file)
        if empty:
            self.path.unlink(missing_ok=True)

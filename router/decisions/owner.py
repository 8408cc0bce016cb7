"""One process owns a store's file, and what it was handed last survives its death.

The file `<store>.owner` is locked by the owner while it lives. It is also mapped into memory and holds, per replica,
the first and the last sequence number that were recorded: a process killed between the recording and the commit of
rows leaves there how many it took with it. Writing it costs no system call.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from router.errors import StoreError

# replicas whose last number is kept; gaps between committed rows of any other are found all the same
SLOTS = 64
SLOT = struct.Struct("<H200sqq")  # length of the name (0: free), the name, first, last
HEAD = 256  # bytes before the slots: the owner's process id, in text


class Owner:
    """Holds the lock from its making to `close`. Raises `StoreError` at once where another process has it."""

    def __init__(self, store: Path) -> None:
        path = store.with_name(store.name + ".owner")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"decision store {store}: its folder cannot be written: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(self._file, HEAD, 0).partition(b"\n")[0].decode(errors="replace")
            os.close(self._file)
            raise StoreError(
                f"decision store {store}: process {pid or '?'} has it open; one process owns one file"
            ) from error
        try:
            size = HEAD + SLOTS * SLOT.size
            os.posix_fallocate(self._file, 0, size)  # a full disk is an error now, not a signal later
            os.pwrite(self._file, f"{os.getpid()}\n".encode().ljust(HEAD, b"\0"), 0)
            self._map = mmap.mmap(self._file, size)
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"decision store {store}: {path.name} cannot be written: {error}") from error
        self._places: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def left(self) -> Mapping[str, tuple[int, int]]:
        """Per replica the first and last number that earlier owners recorded since `clear`."""
        found: dict[str, tuple[int, int]] = {}
        for slot in range(SLOTS):
            length, name, first, last = SLOT.unpack_from(self._map, HEAD + slot * SLOT.size)
            if 0 < length <= 200:
                found[name[:length].decode(errors="replace")] = first, last
        return found

    def clear(self) -> None:
        """Forget what `left` says; done once it is kept elsewhere."""
        self._map[HEAD:] = bytes(len(self._map) - HEAD)
        self._places.clear()

    def note(self, replica: str, sequence: int) -> None:
        """Remember the last number recorded of a replica."""
        if not 0 <= sequence < 2**63:
            return
        place = self._places.get(replica)
        if place is None:
            if len(self._places) >= SLOTS or len(replica.encode("utf-8", "replace")) > 200:
                return
            place = HEAD + len(self._places) * SLOT.size
            self._places[replica] = place
            self._first[replica] = sequence
        name = replica.encode("utf-8", "replace")
        SLOT.pack_into(self._map, place, len(name), name, self._first[replica], sequence)

    def close(self) -> None:
        """Release the lock; what was noted stays in the file."""
        with contextlib.suppress(ValueError):
            self._map.close()
        os.close(self._file)

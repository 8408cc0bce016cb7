"""Recordings by folder, each read once, off the event loop, however many backends serve it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from router.recording import Recording


class RecordingShelf:
    """Made by `assemble` and given to every recorded backend. Loading 340,000 rows takes seconds; taking is free."""

    def __init__(self, root: Path | str = ".") -> None:
        self._root = Path(root)  # relative folders are below it
        self._read: dict[Path, Recording] = {}
        self._reading = threading.Lock()

    def held(self, folder: str) -> Recording | None:
        """The recording if it has been read."""
        return self._read.get(self._root / folder)

    async def take(self, folder: str) -> Recording:
        """The recording in `folder`. Raises `RecordingError` for a damaged one, each time it is asked for."""
        held = self.held(folder)
        return held if held is not None else await asyncio.to_thread(self.read, folder)

    def read(self, folder: str) -> Recording:
        """The same for threads and for starting up; blocks while the folder is read."""
        path = self._root / folder
        with self._reading:
            if path not in self._read:
                self._read[path] = Recording.load(path)
            return self._read[path]

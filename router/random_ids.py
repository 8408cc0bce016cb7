"""Ids that nobody had: random hex digits, drawn from the system many at a time.

Every draw is a system call that gives the interpreter's lock away, and a query would wait for it behind whoever writes
the log; so a page of random bytes is drawn at once and used up. Make one per process, after it was forked.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_PAGE = 4096  # bytes
_USUAL = 16  # bytes of a name


class RandomIds:
    """Call it for 32 hex digits. Not for two threads at once."""

    def __init__(self, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._draw = draw
        self._page, self._used = b"", 0

    def __call__(self) -> str:
        """32 hex digits."""
        return self.digits(_USUAL)

    def digits(self, size: int) -> str:
        """2 `size` hex digits, 1 <= `size` <= 4,096."""
        start, end = self._used, self._used + size
        if end > len(self._page):
            self._page, start, end = self._draw(_PAGE), 0, size
        self._used = end
        return self._page[start:end].hex()

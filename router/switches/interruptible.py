"""Waits that one deadline ends, or somebody else: a timer for all of them, where `asyncio.timeout` needs one for each.

A stream waits once per token, and a timer that is set and cancelled costs as much as decoding one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Interruptible:
    """`with` it around each wait of one task: the wait ends with `TimeoutError` at `ends_at`, or by `interrupt`.

    `ends_at` is on the running event loop's clock, None: never. A wait that begins afterwards is ended in the loop's
    next turn; what is there at once is still had. `close` it when nothing is waited for any more.
    """

    def __init__(self, ends_at: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = (
            None if ends_at is None else self._loop.call_at(ends_at, self.interrupt)
        )
        self._waiting: asyncio.Task[object] | None = None
        self._cancelled_before = 0  # requests to cancel the task that are not ours
        self._over = self._ended = False

    def interrupt(self) -> None:
        """End the wait of now, and all later ones."""
        self._over = True
        if self._waiting is not None and not self._ended:
            self._ended = True
            self._waiting.cancel()

    def close(self) -> None:
        """Forget the deadline."""
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> None:
        task = self._waiting = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("only a task can be interrupted")
        self._cancelled_before = task.cancelling()
        if self._over:
            self._timer = self._loop.call_soon(self.interrupt)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._waiting = self._waiting, None
        if self._over:
            self.close()
        if self._ended and task is not None:
            self._ended = False
            if task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
                raise TimeoutError from error

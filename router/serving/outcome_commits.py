"""Outcomes of one stream, committed in parts: the next part is read while earlier ones are on their way to the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from router.domain.decision import Outcome
from router.reports import Reports

AT_ONCE = 500  # outcomes in one commit
ON_THEIR_WAY = 4  # commits; then the stream is not read further


@dataclass(slots=True)
class Commits:
    """Counts what was committed. `close` it however the stream ends."""

    reports: Reports
    committed: int = 0
    duplicates: int = 0
    _waiting: list[Outcome] = field(default_factory=list)
    _running: deque[asyncio.Task[tuple[bool, ...]]] = field(default_factory=deque)

    async def add(self, outcome: Outcome) -> None:
        """One more. Raises `StoreError` for an earlier part that was not committed."""
        self._waiting.append(outcome)
        if len(self._waiting) >= AT_ONCE:
            if len(self._running) >= ON_THEIR_WAY:
                await self._count()
            self._begin(self._waiting)
            self._waiting = []

    async def finish(self) -> None:
        """Commit what is left and wait for all of it. Raises `StoreError`."""
        if self._waiting:
            self._begin(self._waiting)
        while self._running:
            await self._count()

    async def close(self) -> None:
        """Wait for nothing more; what is on its way may still be committed."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self, outcomes: Sequence[Outcome]) -> None:
        self._running.append(asyncio.create_task(self.reports.take(outcomes, patient=True)))

    async def _count(self) -> None:
        answers = await self._running.popleft()
        self.committed += sum(answers)
        self.duplicates += len(answers) - sum(answers)

"""Outcomes on their way into the store, whatever door they came through: committed, counted, shown to who looks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from router.decisions import DecisionStore
from router.domain.decision import Outcome


@dataclass(slots=True)
class Reports:
    """What this process was told since its start. One event loop."""

    store: DecisionStore
    outcomes: int = 0  # committed, without duplicates
    onlookers: list[Callable[[Outcome], None]] = field(default_factory=list)  # see every new one; must be quick

    async def take(self, outcomes: Sequence[Outcome]) -> tuple[bool, ...]:
        """Commit them; per outcome, whether it is new. Raises `StoreError`: then nothing was committed."""
        new = await self.store.report(outcomes)
        for outcome, first in zip(outcomes, new, strict=True):
            if first:
                self.outcomes += 1
                for onlooker in self.onlookers:
                    onlooker(outcome)
        return new

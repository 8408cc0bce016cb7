"""Outcomes on their way into the store, whatever door they came through: committed, counted, shown to who looks on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from router.admission.outcome_rates import OutcomeRates
from router.decisions import DecisionStore
from router.domain.decision import Keep, Outcome
from router.errors import Overloaded

TEXTS = ("comment", "demonstration")  # kinds that are somebody's words


@dataclass(slots=True)
class Reports:
    """What this process was told since its start. One event loop."""

    store: DecisionStore
    outcomes: int = 0  # committed, without duplicates
    # see every new one; must be quick
    onlookers: list[Callable[[Outcome], None]] = field(default_factory=list)
    rates: OutcomeRates | None = None  # how many a tenant may report; None: any number
    keep_of: Callable[[str], Keep] | None = None  # the most that is kept of a tenant's texts; None: all

    async def take(self, outcomes: Sequence[Outcome], *, patient: bool = False) -> tuple[bool, ...]:
        """Commit them; per outcome, whether it is new.

        Raises `StoreError`, or `Overloaded` for a tenant that reports too many a second: then nothing was committed.
        `patient`: wait instead, which holds up a stream's sender.
        """
        await self._admit(outcomes, patient=patient)
        new = await self.store.report([self._private(outcome) for outcome in outcomes])
        for outcome, first in zip(outcomes, new, strict=True):
            if first:
                self.outcomes += 1
                for onlooker in self.onlookers:
                    onlooker(outcome)
        return new

    async def _admit(self, outcomes: Sequence[Outcome], *, patient: bool) -> None:
        if self.rates is None:
            return
        counts = Counter(outcome.tenant for outcome in outcomes)
        if patient:
            await asyncio.sleep(self.rates.take(counts))
            return
        for tenant in counts:
            wait_s = self.rates.wait_s(tenant)
            if wait_s:
                most = f"{self.rates.per_s:g} outcomes a second"
                raise Overloaded(f"tenant {tenant!r} reports more than {most}", wait_s)

    def _private(self, outcome: Outcome) -> Outcome:
        """Without words that the tenant does not want kept; that they were reported stays."""
        if outcome.kind not in TEXTS or self.keep_of is None or self.keep_of(outcome.tenant) is Keep.FULL:
            return outcome
        return replace(outcome, value="")

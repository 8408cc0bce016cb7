"""What was decided and how it turned out, kept in a store behind one contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from router.domain.decision import Decision, Outcome


@dataclass(frozen=True, slots=True)
class Page:
    """A page of decisions, newest first, and the token of the next (empty: the last page)."""

    decisions: tuple[Decision, ...]
    next_token: str = ""


class DecisionStore(Protocol):
    """Rows in batches by one writer off the event loop."""

    def record(self, decision: Decision) -> None:
        """Queue a row; returns at once. Rows are committed within 50 ms. Never raises for a store that is away."""
        ...

    async def report(self, outcomes: Sequence[Outcome]) -> tuple[bool, ...]:
        """Commit outcomes, then return, per outcome, whether it is new (False: its key was seen before).

        An outcome for a decision that has not arrived is kept and joined later. Raises `StoreError`.
        """
        ...

    async def decision(self, decision_id: str) -> Decision | None:
        """One row, also one that is queued but not yet committed."""
        ...

    async def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        """What was reported about a decision by its tenant, in order of arrival, without what was superseded.

        An outcome is about the most specific id that it names: the decision's, else the request's, else the session's.
        """
        ...

    async def decisions(self, page_size: int, page_token: str = "", tenant: str | None = None) -> Page:
        """Rows, newest first. Raises `InvalidQuery` for a token that is not one."""
        ...

    async def close(self) -> None:
        """Commit everything queued and close."""
        ...

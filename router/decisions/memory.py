"""Decisions and outcomes in this process's memory, for tests and replays: nothing survives it."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from router.decisions import Page
from router.decisions.rows import (
    Place,
    Subject,
    key_of,
    page_start,
    place_of,
    readable_text,
    subject_of,
    subjects_of,
    superseded_key,
    token_behind,
)
from router.domain.decision import Decision, Outcome


class Memory:
    """The contract of `DecisionStore`; grows with every row."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self._places: list[tuple[Place, str]] = []  # oldest first, with the decision's id
        self._outcomes: dict[tuple[str, str], Outcome] = {}  # by tenant and key, in order of arrival
        self._by_subject: dict[Subject, list[tuple[str, str]]] = {}
        self._superseded: set[tuple[str, str]] = set()

    def record(self, decision: Decision) -> None:
        if decision.decision_id in self._decisions:
            return
        self._decisions[decision.decision_id] = decision
        bisect.insort(self._places, (place_of(decision, len(self._places)), decision.decision_id))

    async def report(self, outcomes: Sequence[Outcome]) -> tuple[bool, ...]:
        return tuple(self._keep(outcome) for outcome in outcomes)

    def _keep(self, outcome: Outcome) -> bool:
        tenant = readable_text(outcome.tenant)
        name = tenant, key_of(outcome)
        if name in self._outcomes:
            return False
        self._outcomes[name] = outcome
        self._by_subject.setdefault(subject_of(outcome), []).append(name)
        if superseded_key(outcome):
            self._superseded.add((tenant, superseded_key(outcome)))
        return True

    async def decision(self, decision_id: str) -> Decision | None:
        return self._decisions.get(decision_id)

    async def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        decision = self._decisions.get(decision_id)
        subjects: tuple[Subject, ...] = (("decision", decision_id),)
        if decision is not None:
            subjects = subjects_of(decision)
        names = {name for subject in subjects for name in self._by_subject.get(subject, ())}
        return tuple(
            outcome
            for name, outcome in self._outcomes.items()
            if name in names
            and name not in self._superseded
            and (decision is None or outcome.tenant == decision.tenant)
        )

    async def decisions(self, page_size: int, page_token: str = "", tenant: str | None = None) -> Page:
        start = page_start(page_size, page_token)
        end = len(self._places) if start is None else bisect.bisect_left(self._places, (start, ""))
        page: list[Decision] = []
        token = ""
        for place, name in reversed(self._places[:end]):
            decision = self._decisions[name]
            if tenant is not None and decision.tenant != tenant:
                continue
            if len(page) == page_size:
                return Page(tuple(page), token)
            page.append(decision)
            token = token_behind(place)
        return Page(tuple(page))

    async def close(self) -> None:
        return

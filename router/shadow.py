"""Shadow runs: after an observed query was answered, the plan that `apply` would have drawn is run in the background.

For a seeded share of queries, on a budget of its own, off the caller's path: the caller waits for none of it, pays for
none of it, and is told nothing. Each run is a row of its own in the decision store: mode `observe`, not usable for
off-policy evaluation, with the decision that it belongs to under `SHADOW_OF` in its metadata, and whether its answer
agrees with the one that was served under `AGREES`. Its `propensity` is the chance that this plan was run for this
query: its own under the policy, times the share.

When it fails: runs share the model servers with the callers and take their throughput; while `AT_ONCE` of them run,
or the budget is used up, further ones are left out, so that busy hours are seen less than quiet ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import structlog

from predictors.observation import OnUnavailable, Query
from router.allocation.books import Books
from router.allocation.progress import Progress
from router.allocator import Allocator, Decided
from router.answers import canonical
from router.domain.decision import SHADOW_SUFFIX, Decision, Mode
from router.domain.events import Done, Event
from router.domain.options import Options
from router.errors import BudgetExceeded, NoPlan, RouterError
from router.first_decision.choose import Chosen
from router.first_decision.draw import unit
from router.ledger import Ledger
from router.switches.modes import Modes

SHADOW_OF = "x-apportion-shadow-of"  # metadata of a shadow run's row: the id of the decision that was served
AGREES = "x-apportion-shadow-agrees"  # "yes" or "no"; not there where one of both has no answer to compare
SHADOW_RUN = "shadow run"  # `unusable_reason` of its row
AT_ONCE = 8  # runs; a model server takes some hundred sequences, callers come first


@dataclass(slots=True)
class ShadowCounts:
    """What became of the queries that were drawn for a shadow run."""

    ended: int = 0
    failed: int = 0  # a backend failed; logged like every failure
    over_budget: int = 0
    crowded: int = 0  # too many ran already


@dataclass(slots=True)
class HeldRows:
    """Stands in for the store while a shadow runs: its row is completed before it is recorded."""

    rows: dict[str, Decision] = field(default_factory=dict)

    def record(self, decision: Decision) -> None:
        """Hold a row."""
        self.rows[decision.decision_id] = decision


class Shadows:
    """Runs what `apply` would have drawn. One per process; `close` it before the store."""

    def __init__(self, allocator: Allocator, ledger: Ledger, *, share: float, at_once: int = AT_ONCE) -> None:
        served = allocator.books
        self.share, self.at_once, self.ledger = share, at_once, ledger
        self.counts = ShadowCounts()
        self._served = served
        self._held = HeldRows()
        self._books = Books(
            chooser=served.chooser,
            bypass=served.bypass,
            prices=served.prices,
            ledger=ledger,
            store=self._held,  # type: ignore[arg-type]  # books only record
            verifiers=served.verifiers,
            modes=Modes(Mode.APPLY),
            settings=replace(served.settings, replica=f"{served.settings.replica}/shadow"),
            monotonic_s=served.monotonic_s,
            wall_s=served.wall_s,
            new_id=lambda query: query.metadata[SHADOW_OF] + SHADOW_SUFFIX,
            price_list=served.price_list,
        )
        self._allocator = Allocator(self._books, allocator.backends, allocator.classes)
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def running(self) -> int:
        """Shadow runs that have not ended."""
        return len(self._running)

    def consider(self, query: Query, options: Options, done: Done) -> None:
        """Start a shadow run of an answered query, if it is drawn for one. Returns at once."""
        if self._closed or not self.wanted(query, done.decision):
            return
        if len(self._running) >= self.at_once:
            self.counts.crowded += 1
            return
        task = asyncio.create_task(self._run(query, options, done), name="shadow")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def wanted(self, query: Query, decision: Decision) -> bool:
        """Whether the query is drawn: observed, served by the reference, and another plan would have been run."""
        return (
            decision.mode is Mode.OBSERVE
            and decision.plan == self._served.chooser.menu.reference.name != decision.would_plan
            and unit(self._served.settings.seed, "shadow", f"{query.tenant}\x00{query.request_id}")
            < self.share
        )

    async def close(self) -> None:
        """Start none any more and cut those that run; their rows are recorded as cancelled."""
        self._closed = True
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, query: Query, options: Options, done: Done) -> None:
        served, books = done.decision, self._served
        # what was learned may have been replaced since the last run
        self._books.chooser, self._books.canary = books.chooser, books.canary
        self._books.settings = replace(self._books.settings, degraded=books.settings.degraded)
        shadowed = replace(
            query,
            metadata={**query.metadata, SHADOW_OF: served.decision_id},
            constraints=replace(query.constraints, plan=served.would_plan, on_unavailable=OnUnavailable.FAIL),
        )
        agrees = ""
        try:
            async with aclosing(self._allocator.run(shadowed, Options(keep=options.keep))) as events:
                async for event in events:
                    if isinstance(event, Done):
                        agrees = agreement(done, event, self._served.settings.answer_kind(query))
            self.counts.ended += 1
        except (BudgetExceeded, NoPlan):
            self.counts.over_budget += 1
        except RouterError:
            self.counts.failed += 1
        except Exception as error:  # noqa: BLE001 (nobody waits for this task: its error is told here or nowhere)
            self.counts.failed += 1
            structlog.get_logger().error("a shadow run broke", decision_id=served.decision_id, exc_info=error)
        finally:
            row = self._held.rows.pop(served.decision_id + SHADOW_SUFFIX, None)
            if row is not None:
                self._served.record(shadow_row(row, served, self.share, agrees))


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The allocator for those who answer callers, with a shadow behind it."""

    allocator: Allocator
    shadows: Shadows

    async def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """As `Allocator.run`; a shadow begins when the caller has taken `Done` and left."""
        done: Done | None = None
        try:
            async with aclosing(self.allocator.run(query, options)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        done = event
                    yield event
        finally:
            if done is not None:
                self.shadows.consider(query, options, done)

    async def decide(
        self, query: Query, options: Options, hold: Callable[[Progress], int] | None = None
    ) -> Decided:
        """As `Allocator.decide`."""
        return await self.allocator.decide(query, options, hold)

    def estimate(self, query: Query, options: Options) -> Chosen:
        """As `Allocator.estimate`."""
        return self.allocator.estimate(query, options)


def agreement(served: Done, shadow: Done, kind: str) -> str:
    """Whether both answers have one canonical form: "yes", "no" (also where one is missing), "" where both are."""
    answers = [done.answers[0].answer if done.answers else None for done in (served, shadow)]
    if answers[0] is None and answers[1] is None:
        return ""
    if answers[0] is None or answers[1] is None:
        return "no"
    return "yes" if canonical(answers[0], kind) == canonical(answers[1], kind) else "no"


def shadow_row(row: Decision, served: Decision, share: float, agrees: str) -> Decision:
    """The row of a shadow run as it is logged; no outcome is joined to it by request or session."""
    return replace(
        row,
        mode=Mode.OBSERVE,
        policy="shadow",
        propensity=served.would_propensity * share,
        usable=False,
        unusable_reason=SHADOW_RUN,
        request_id="",
        session_id="",
        metadata={**row.metadata, AGREES: agrees} if agrees else row.metadata,
    )

"""The two ends of a query: begin it (mode, first decision), reserve, let another plan take over; settle and log it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from predictors.observation import OnUnavailable, Query, Sample
from router.allocation.logged_row import logged_row
from router.allocation.progress import Progress
from router.allocation.take_over import affordable, has_another_server, those_left, within_max_cost
from router.costs.price_list import PriceList
from router.costs.worst_case import used_amount, worst_amount, worst_cost
from router.decisions import DecisionStore
from router.domain.decision import Decision, Keep, Mode
from router.domain.options import Options
from router.domain.plan import Plan
from router.domain.usage import Price, pieces_of
from router.errors import BackendError, BudgetExceeded, InvalidQuery
from router.first_decision.choose import FORECASTS, Chooser, Chosen
from router.first_decision.draw import draw_key
from router.first_decision.feasible import Limits
from router.ledger import Amount, Ledger
from router.ledger.exhausted import ExhaustedAccounts
from router.ledger.settle_all import settle_all
from router.pricing.accounts import Prices
from router.pricing.typical import typical_traffic
from router.switches.canary import Canary
from router.switches.modes import Modes
from router.verifiers import Verifier

KEEPS = {Keep.OFF: 0, Keep.HASH: 1, Keep.FULL: 2}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the allocator needs to know besides its parts."""

    replica: str
    keep: Keep = Keep.FULL
    keep_by_tenant: Mapping[str, Keep] = field(default_factory=dict)
    answers: str = "auto"  # an answer kind
    answers_by_task: Mapping[str, str] = field(default_factory=dict)  # task hint -> answer kind
    seed: int = 0
    hash_key: bytes = b""
    degraded: tuple[str, ...] = ()  # what is wrong with this replica as a whole, e.g. no bundle
    reply_margin: float = 0.05  # share of the caller's time kept for sending what there is
    reply_margin_s: float = 0.25  # and at most so much

    def keep_of(self, tenant: str) -> Keep:
        """The most that is kept of a tenant's texts."""
        return self.keep_by_tenant.get(tenant, self.keep)

    def answer_kind(self, query: Query) -> str:
        """How answers to this query are read."""
        return self.answers_by_task.get(query.task_hint, self.answers)


def observed_plan(query: Query, chosen: Chosen, reference: Plan) -> tuple[Plan, str]:
    """What is served where nothing is to change yet: the reference plan, or the drawn one and why not the reference."""
    why = dict(chosen.infeasible).get(reference.name, "")
    if not why or why.startswith(FORECASTS):  # what is expected of it changes nothing yet
        return reference, ""
    if query.constraints.plan not in ("", reference.name):
        return chosen.choice.plan, ""  # the caller insists on it
    said = why.partition(":")[0]  # without amounts: these sentences are counted
    return chosen.choice.plan, f"the reference plan {reference.name!r} is not feasible: {said}"


class Books:
    """Opens and closes the account of every query. No waiting, no backend."""

    def __init__(
        self,
        *,
        chooser: Chooser,
        bypass: Chooser,  # predicts nothing and always says the reference plan
        prices: Mapping[str, Price],
        ledger: Ledger,
        store: DecisionStore,
        verifiers: Mapping[str, Verifier],  # those that a query may name: they judge without gold
        modes: Modes,
        settings: Settings,
        monotonic_s: Callable[[], float],
        wall_s: Callable[[], float],
        new_id: Callable[[Query], str],
        price_list: PriceList | None = None,  # None: `prices` hold for ever
        pricing: Prices | None = None,  # learns from every query what compute must cost; None: nobody asks
    ) -> None:
        self.chooser, self.bypass, self.modes, self.settings = chooser, bypass, modes, settings
        self.canary: Canary | None = None
        self.prices, self.ledger, self.store, self.verifiers = dict(prices), ledger, store, verifiers
        self.monotonic_s, self.wall_s, self.new_id = monotonic_s, wall_s, new_id
        self.pricing, self.exhausted = pricing, ExhaustedAccounts()
        self.decided = 0  # rows logged since the start
        self.onlookers: list[Callable[[Decision], None]] = []  # see every row as it is logged; must be quick
        self.price_list = price_list
        self._prices_since = price_list.version(wall_s()) if price_list and price_list.changes else ""
        self._reprice_at = price_list.next_after(wall_s()) if price_list and price_list.changes else math.inf

    def begin(self, query: Query, options: Options, *, asks: bool = True) -> Progress:
        """The first decision. Raises before anything is reserved or logged; `asks`: a refusal counts as demand."""
        now = self.monotonic_s()
        if self._reprice_at < math.inf and (at := self.wall_s()) >= self._reprice_at:
            self._reprice(at)
        verifier = self.verifiers.get(query.verifier)
        if query.verifier and verifier is None:
            raise InvalidQuery(
                "verifier", f"unknown or needs gold: {query.verifier!r}", ", ".join(self.verifiers)
            )
        key = draw_key(query)
        mode = self.modes.mode_for(query.tenant, key, options.mode)
        chooser, replica_degraded = self.chooser, self.settings.degraded
        if mode is Mode.BYPASS:
            chooser, replica_degraded = self.bypass, ()
        elif self.canary is not None and self.canary.takes(self.settings.seed, key):
            chooser, replica_degraded = self.canary.chooser, self.canary.degraded
        limits = Limits(self._left(query), options.time_left_s, options.stream)
        try:
            chosen = chooser.choose(query, limits, explore=options.explore, least_price=options.price)
        except BudgetExceeded as error:
            self._explain(error, query)
            if asks:
                self._refused(query)
            raise
        plan, unserved = chosen.choice.plan, ""
        if mode is Mode.OBSERVE:
            plan, unserved = observed_plan(query, chosen, chooser.menu.reference)
        costs = chooser.forecaster.price_signals(query, plan, chosen.look.signals, chosen.price)
        left = options.time_left_s
        margin = 0.0 if left is None else min(self.settings.reply_margin * left, self.settings.reply_margin_s)
        return Progress(
            decision_id=self.new_id(query),
            query=query,
            options=options,
            mode=mode,
            chosen=chosen,
            plan=plan,
            started_s=now,
            created_at=self.wall_s(),
            deadline_s=None if left is None else now + left - margin,
            predictions=chooser.predictions,
            signals=dict(chosen.look.signals) | (costs[0] if costs else {}),
            stage_costs=costs,
            prices=dict(self.prices),
            prices_since=self._prices_since,
            degraded=[*replica_degraded, *chosen.degraded, *([unserved] if unserved else [])],
        )

    def watch(self, progress: Progress, sample: Sample, max_tokens: int | None) -> None:
        """Quarantine a backend at the first sample that is longer than it was allowed; it is charged all the same.

        What was reserved does not cover such samples. Running ones are cut, so that the breach is at most what is
        in flight there.
        """
        if max_tokens is None:
            return
        if sample.tokens_out <= (pieces_of(max_tokens) if sample.usage_estimated else max_tokens):
            return
        why = f"it gave {sample.tokens_out} tokens where max_tokens was {max_tokens}"
        progress.degraded.append(f"backend {sample.backend!r}: {why}")
        if progress.options.advised:
            return  # a caller's word must not take a backend from the others
        if self.chooser.feasibility.switch.quarantine(sample.backend, why):
            structlog.get_logger("router.budget").error(
                "backend is in quarantine until it is enabled", backend=sample.backend, why=why
            )

    def settle(self, progress: Progress) -> int:
        """Settle what was used; micro-dollars charged."""
        used = used_amount(progress.meter.by_backend, progress.prices)
        return settle_all(self.ledger, progress.reservations, used).micros

    def end(self, progress: Progress, settle: Callable[[Progress], int] | None = None) -> Decision:
        """Settle what was used and log the row. Runs however the query ended, and does not wait."""
        progress.charged = (settle or self.settle)(progress)
        if self.pricing is not None:
            self._tell_prices(self.pricing, progress)
        self.decided += 1
        most = self.settings.keep_of(progress.query.tenant)
        keep = min(most, progress.options.keep or most, key=KEEPS.__getitem__)
        decision = logged_row(
            progress,
            keep=keep,
            replica=self.settings.replica,
            sequence=self.decided,
            bundle=progress.predictions.version,
            prices=progress.prices,
            hash_key=self.settings.hash_key,
            now_s=self.monotonic_s(),
        )
        self.record(decision)
        return decision

    def record(self, decision: Decision) -> None:
        """Log a finished row, and let those see it who count or tell."""
        self.store.record(decision)
        for onlooker in self.onlookers:
            onlooker(decision)

    async def reserve(self, progress: Progress) -> None:
        """Set the worst case of the plan aside; waits only where this replica's share is too small for it.

        Where the store had less than was known here when the plan was drawn, or an account is not in dollars, the
        best of those that fit what is left now takes over. Raises `BudgetExceeded`.
        """
        try:
            return await self._obtain(progress, progress.plan)
        except BudgetExceeded as error:
            refusal = error
        for place, plan in enumerate(affordable(progress, self._left(progress.query))):
            with contextlib.suppress(BudgetExceeded):
                await self._obtain(progress, plan, waits=not place)
                return self._takes_over(progress, plan, ": less money was left than was known")
        self._refused(progress.query)
        raise refusal

    async def _obtain(self, progress: Progress, plan: Plan, *, waits: bool = True) -> None:
        query, held = progress.query, progress.reservations
        wanted = (
            f"{progress.decision_id}/{len(held)}",
            worst_amount(query, plan, self.chooser.forecaster.bounds),
            query.tenant,
        )
        held.append(await self.ledger.obtain(*wanted) if waits else self.ledger.reserve(*wanted))

    async def begin_again(self, progress: Progress, index: int, backend: object, error: BackendError) -> bool:
        """Whether the stage that failed is to begin once more, on another server of its backend.

        It is paid for once more: what the first one used is not known to the last token.
        """
        plan, bounds = progress.plan, self.chooser.forecaster.bounds
        stages, closed = plan.stages[index:], self.chooser.feasibility.switch.objection
        name = stages[0].backend
        if closed(name) or not has_another_server(progress, backend, last=len(stages) == 1):
            progress.failed_backends.add(name)
            return False
        if not within_max_cost(progress, worst_cost(progress.query, replace(plan, stages=stages), bounds)):
            return False
        try:
            await self._obtain(progress, replace(plan, stages=stages[:1]))
        except BudgetExceeded:
            return False
        progress.failed(name, error)
        progress.degraded.append(f"plan {plan.name!r} began again")
        progress.stage_base += 1
        return True

    async def fail_over(self, progress: Progress, error: BackendError) -> None:
        """Let another feasible plan go on that needs none of the failed backends.

        Raises what failed where there is none, and where the caller wants this plan or nothing.
        """
        failed = progress.plan
        insists = progress.query.constraints.on_unavailable is OnUnavailable.FAIL
        for plan in () if insists else those_left(progress):
            try:
                await self._obtain(progress, plan)
            except BudgetExceeded:
                continue
            progress.stage_base += len(failed.stages)
            return self._takes_over(progress, plan)
        raise BackendError.of_all(progress.failures) from error

    def price_of(self, account: str) -> float:
        """What compute costs under this account alone, quality per dollar."""
        own = 0.0 if self.pricing is None else self.pricing.price_of(account)
        return max(self.chooser.price, own)

    def _left(self, query: Query) -> int | None:
        """Micro-dollars that the query may reserve; what is kept for urgent ones is not there for others."""
        left = self.ledger.left(query.tenant)
        if left is None or self.pricing is None or query.priority > 0:
            return left
        return max(0, left - self.pricing.kept_back(query.tenant))

    def _tell_prices(self, pricing: Prices, progress: Progress) -> None:
        """A query that reserved nothing here (`Decide`) is part of the demand; what it takes the ledger will say."""
        chosen, query = progress.chosen, progress.query
        decides = progress.mode is Mode.APPLY and query.constraints.min_quality is None
        known = any(one.quality is not None for one in chosen.forecasts)
        taken = next((one for one in chosen.forecasts if one.plan is progress.plan), None)
        weight, used = query.preferences.cost_weight, None
        if progress.reservations:
            used = used_amount(progress.expected_usage, progress.prices)
            if not progress.unsaid.by_backend:
                used = replace(used, micros=progress.charged)
        pricing.ended(
            query.tenant,
            (*chosen.forecasts, *chosen.unpaid),
            price=chosen.price / weight if weight > 0 else 0.0,
            weight=weight,
            latency_price=self.chooser.latency_price * query.preferences.latency_weight,
            taken=None if decides and known else taken,
            reserved=sum([one.amount for one in progress.reservations], Amount(0)),
            used=used,
        )

    def _explain(self, error: BudgetExceeded, query: Query) -> None:
        """Say which account it is, and when it may go better."""
        if error.needed_micros is not None:
            error.retry_after_s = self.ledger.wait_s(Amount(error.needed_micros), query.tenant)
            account = self.ledger.tightest(query.tenant)[1]
            self.exhausted.note(account, error.needed_micros)
            error.args = (f"{error} (account {account!r})",)

    def _refused(self, query: Query) -> None:
        if self.pricing is not None:
            self.pricing.refused(query.tenant)

    def _reprice(self, at: float) -> None:
        """Decide and reserve at the prices of now; what is reserved already is settled at those of then."""
        assert self.price_list is not None  # noqa: S101 (else nothing ever changes)
        self._reprice_at = self.price_list.next_after(at)
        self._prices_since = self.price_list.version(at)
        self.prices.update(self.price_list.prices(at))
        bounds = self.price_list.bounds(at)
        self.chooser, self.bypass = (one.at_prices(bounds) for one in (self.chooser, self.bypass))
        if self.canary is not None:
            self.canary = replace(self.canary, chooser=self.canary.chooser.at_prices(bounds))
        if self.pricing is not None:
            chooser = self.chooser
            self.pricing.expect(typical_traffic(chooser.predictions, chooser.menu.plans, chooser.forecaster))

    def swap(self, chooser: Chooser, degraded: tuple[str, ...], canary: Canary | None = None) -> None:
        """Decide the next query by other predictions; queries in flight end with those that they began with.

        Prices may have changed since these choosers were made: then they are made anew at those of now.
        """
        if chooser.forecaster is not self.chooser.forecaster:
            bounds = self.chooser.forecaster.bounds
            chooser = chooser.at_prices(bounds)
            if canary is not None:
                canary = replace(canary, chooser=canary.chooser.at_prices(bounds))
        self.chooser, self.canary = chooser, canary
        self.bypass = replace(self.bypass, menu=chooser.menu)
        self.settings = replace(self.settings, degraded=degraded)

    def _takes_over(self, progress: Progress, plan: Plan, why: str = "") -> None:
        """Say so; the plan that runs from now on is told its own prices."""
        progress.degraded.append(f"plan {plan.name!r} took over from {progress.plan.name!r}{why}")
        progress.plan = plan
        progress.stage_costs = self.chooser.forecaster.price_signals(
            progress.query, plan, progress.look.signals, progress.chosen.price
        )

"""The Admin service: status, plans, backends, mode, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import structlog

from router.admission.admission import Admission
from router.allocation.books import Books
from router.backends import Backend
from router.checks.fields import SHARE, Range, short_text
from router.config import Config
from router.domain.decision import Decision
from router.errors import InvalidQuery, UnknownName
from router.ledger import ALL
from router.ledger.accounts import LARGEST
from router.ledger.exhausted import MOST_ACCOUNTS
from router.reports import Reports
from router.rollout.rollout import Rollout
from router.serving.calls import Call, Send
from router.serving.watch import watch
from router.v1 import apportion_router_pb2 as pb
from router.wire.admin import (
    backend_info,
    balance_to_wire,
    bundle_info,
    mode_rule,
    page_of,
    page_size,
    plan_info,
)
from router.wire.checks import enum, seconds
from router.wire.decision import logged_decision
from router.wire.parts import BACKEND_STATES, BUNDLE_STATES, MODE_NUMBERS, MODES, Prices, timestamp

LIMIT = Range(0, LARGEST)


class StoreHealth(Protocol):
    """What a store that outlives its process says about itself as `health`."""

    @property
    def queued(self) -> int:
        """Rows that wait for the writer."""
        ...

    @property
    def in_spool(self) -> int:
        """Rows kept aside while the store is away."""
        ...

    @property
    def lost(self) -> int:
        """Rows that earlier lives of the store took with them."""
        ...

    @property
    def away(self) -> str:
        """Why the store refuses; "" where it does not."""
        ...


@dataclass(frozen=True, slots=True)
class AdminCalls:
    """What the calls do."""

    books: Books
    backends: Mapping[str, Backend]
    config: Config
    admission: Admission
    version: str
    started_at: float  # seconds since the epoch
    reports: Reports
    rollout: Rollout

    async def get_status(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusReply:
        """How this replica is."""
        settings, chooser = self.books.settings, self.books.chooser
        health: StoreHealth | None = getattr(self.books.store, "health", None)  # a store in memory has none
        switch = chooser.feasibility.switch
        away = (f"the decision store is away: {health.away}",) if health and health.away else ()
        set_at = self.rollout.mode.set_at
        return pb.GetStatusReply(
            version=self.version,
            replica=settings.replica,
            started_at=timestamp(self.started_at),
            mode=MODE_NUMBERS[self.books.modes.default],
            policy=chooser.policy_name,
            bundle=chooser.predictions.version,
            price=self.books.price_of(ALL),
            in_flight=self.admission.queries,
            decisions=self.books.decided,
            outcomes=self.reports.outcomes,
            lost_rows=health.lost if health else 0,
            budget=balance_to_wire(self.books.ledger.balance()),
            degraded=settings.degraded
            + away
            + tuple(self.books.ledger.troubles)
            + self.rollout.troubles
            + tuple(islice(self.books.exhausted.used_up(self.books.ledger.balances()), MOST_ACCOUNTS))
            + tuple(f"backend {name!r}: {why}" for name, why in self._troubles())
            + tuple(why for why in dict.fromkeys(map(switch.objection, self.backends)) if why),
            draining=self.admission.draining,
            queued_rows=health.queued if health else 0,
            spooled_rows=health.in_spool if health else 0,
            mode_rules=map(mode_rule, self.books.modes.rules),
            configured_mode=MODE_NUMBERS[self.rollout.mode.configured],
            mode_set_at=timestamp(set_at) if set_at else None,
        )

    async def list_plans(self, request: pb.ListPlansRequest, call: Call) -> pb.ListPlansReply:
        """The menu, in the order of the configuration."""
        menu = self.books.chooser.menu
        page, following = page_of(menu.plans, request.page_size, request.page_token)
        plans = [plan_info(plan, reference=menu.reference.name) for plan in page]
        return pb.ListPlansReply(plans=plans, next_page_token=following)

    async def list_backends(self, request: pb.ListBackendsRequest, call: Call) -> pb.ListBackendsReply:
        """The model servers, in the order of the configuration."""
        page, following = page_of(tuple(self.backends), request.page_size, request.page_token)
        infos = [self._backend(name) for name in page]
        return pb.ListBackendsReply(backends=infos, next_page_token=following)

    async def set_backend_state(
        self, request: pb.SetBackendStateRequest, call: Call
    ) -> pb.SetBackendStateReply:
        """Take a backend out of service or back: here at once, in all replicas within a second."""
        name = short_text("backend", request.backend)
        if name not in self.backends:
            raise UnknownName("backend", name, tuple(self.backends))
        state = enum("state", request.state, BACKEND_STATES, pb.BackendState.Name)
        await self.rollout.states.set(name, state)
        structlog.get_logger().warning("backend state was set", backend=name, state=state.value)
        return pb.SetBackendStateReply(backend=self._backend(name))

    def _troubles(self) -> Iterator[tuple[str, str]]:
        """Backends whose servers failed when they were last asked, and why."""
        for name, backend in self.backends.items():
            if why := getattr(backend, "trouble", ""):  # what is no server has none
                yield name, why

    def _backend(self, name: str) -> pb.BackendInfo:
        return backend_info(
            name,
            self.config.backends[name],
            self.backends[name].capabilities,
            self.books.prices[name],
            self.books.chooser.feasibility.switch,
            dict(self._troubles()).get(name, ""),
        )

    async def set_mode(self, request: pb.SetModeRequest, call: Call) -> pb.SetModeReply:
        """How much cleverness is allowed from now on, here at once and in all replicas within a second."""
        mode = enum("mode", request.mode, MODES, pb.Mode.Name)
        share = request.share if request.HasField("share") else 1.0
        SHARE.check("share", share)
        previous = await self.rollout.mode.set(mode, short_text("tenant", request.tenant), share)
        return pb.SetModeReply(previous=MODE_NUMBERS[previous], mode=request.mode)

    async def list_bundles(self, request: pb.ListBundlesRequest, call: Call) -> pb.ListBundlesReply:
        """What was learned, the newest first, and what each of it is used for."""
        page, following = page_of(await self.rollout.bundles(), request.page_size, request.page_token)
        return pb.ListBundlesReply(bundles=[bundle_info(one) for one in page], next_page_token=following)

    async def promote_bundle(self, request: pb.PromoteBundleRequest, call: Call) -> pb.PromoteBundleReply:
        """Let a bundle take its next place, here at once and in all replicas within a second or two."""
        version = short_text("version", request.version)
        to = enum("to", request.to, BUNDLE_STATES, pb.BundleState.Name) if request.to else None
        share = request.share if request.HasField("share") else None
        return pb.PromoteBundleReply(bundle=bundle_info(await self.rollout.promote(version, to, share)))

    async def rollback_bundle(self, request: pb.RollbackBundleRequest, call: Call) -> pb.RollbackBundleReply:
        """End what is being tried; where nothing is, go back to the bundle before."""
        to_version = short_text("to_version", request.to_version)
        return pb.RollbackBundleReply(bundle=bundle_info(await self.rollout.rollback(to_version)))

    async def get_budget(self, request: pb.GetBudgetRequest, call: Call) -> pb.GetBudgetReply:
        """Where an account stands, over all replicas."""
        ledger = self.books.ledger
        name = short_text("account", request.account) or ALL
        return pb.GetBudgetReply(
            balance=balance_to_wire(ledger.balance(name)),
            price=self.books.price_of(name),
            accounts=[balance.account for balance in ledger.balances()],
        )

    async def set_budget(self, request: pb.SetBudgetRequest, call: Call) -> pb.SetBudgetReply:
        """Another limit, under the next version: here at once, in other replicas within seconds."""
        account = short_text("account", request.account)
        name, limit = account or ALL, request.limit if request.HasField("limit") else None
        if limit is not None:
            LIMIT.check("limit", limit)
        elif not account:  # a message that came empty must not open the whole budget
            raise InvalidQuery(
                "limit", "is absent", f"a limit; to lift the total's, name its account, {ALL!r}"
            )
        balance = self.books.ledger.balance(name)
        if request.HasField("window") and seconds("window", request.window) != balance.window_s:
            raise InvalidQuery(
                "window", "is part of the configuration", f"{balance.window_s:g} s, or leave it out"
            )
        return pb.SetBudgetReply(balance=balance_to_wire(await self.books.ledger.set_limit(name, limit)))

    async def get_decision(self, request: pb.GetDecisionRequest, call: Call) -> pb.GetDecisionReply:
        """One row with what was reported about it."""
        decision_id = short_text("decision_id", request.decision_id)
        if not decision_id:
            raise InvalidQuery("decision_id", "is empty", "the id of a decision")
        decision = await self.books.store.decision(decision_id)
        if decision is None:
            raise UnknownName("decision", decision_id)
        outcomes = await self.books.store.outcomes(decision_id)
        return pb.GetDecisionReply(decision=logged_decision(decision, self._prices(decision), outcomes))

    async def watch_decisions(self, request: pb.WatchDecisionsRequest, call: Call, send: Send) -> None:
        """This replica's rows as they are logged, until the caller leaves."""
        tenant = short_text("tenant", request.tenant)
        async with aclosing(watch(self.books.onlookers, tenant)) as rows:
            async for decision in rows:
                row = logged_decision(decision, self._prices(decision), ())
                await send(pb.WatchDecisionsReply(decision=row))

    async def list_decisions(self, request: pb.ListDecisionsRequest, call: Call) -> pb.ListDecisionsReply:
        """Rows, newest first; fewer than asked for where more would be larger than a message may be."""
        size, tenant = page_size(request.page_size), short_text("tenant", request.tenant)
        while True:
            page = await self.books.store.decisions(size, request.page_token, tenant or None)
            reported = [
                await self.books.store.outcomes(decision.decision_id) if request.with_outcomes else ()
                for decision in page.decisions
            ]
            rows = [
                logged_decision(decision, self._prices(decision), outcomes)
                for decision, outcomes in zip(page.decisions, reported, strict=True)
            ]
            reply = pb.ListDecisionsReply(decisions=rows, next_page_token=page.next_token)
            if len(rows) <= 1 or reply.ByteSize() <= self.config.server.max_message_bytes:
                return reply
            size = len(rows) // 2

    def _prices(self, decision: Decision) -> Prices:
        """What its samples cost then."""
        dated = self.books.price_list
        return dated.prices(decision.created_at) if dated and dated.changes else self.books.prices

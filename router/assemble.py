"""Configuration to objects: the only place that connects the parts. Single parts are made in `assemble_parts`."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from predictors import Predictions
from predictors.observation import Query
from predictors.untrained import Untrained
from router.allocation.books import Books, Settings
from router.allocator import Allocator
from router.answering.classes import AnswerClasses
from router.assemble_parts import (
    build_backends,
    decision_ids,
    load_predictions,
    members_of,
    online_verifiers,
    own_store,
    refuse_foreign_store,
    signers_of,
)
from router.auth.certificates import PortCertificates
from router.auth.guard import Guard
from router.auth.web_tokens import WebTokens
from router.backends import Backend
from router.batches.kept import Batches, open_batches
from router.config import Config
from router.configuration.budgets import ledger_address
from router.configuration.build_plans import build_plans
from router.configuration.problems import Problems
from router.configuration.service import build_policy, policy_name, reference_plan, untrained_plan
from router.costs.backend_terms import speeds_of
from router.costs.live_speeds import LiveSpeeds
from router.costs.load_watch import LoadWatch
from router.costs.price_list import PriceList
from router.decisions import DecisionStore
from router.domain.decision import Keep, Mode
from router.domain.plan import Plan
from router.errors import ConfigError
from router.first_decision.choose import REFERENCE, Chooser, Menu
from router.first_decision.feasible import Feasibility
from router.first_decision.forecast import Forecaster
from router.first_decision.quality_price import quality_prices_of
from router.learned_plans.risk_thresholds import resolve_risks
from router.ledger import Ledger
from router.ledger.accounts import Accounts
from router.ledger.databases import IN_MEMORY
from router.ledger.in_process import in_process
from router.ledger.leased import Leased
from router.ledger.renewal import Renewal
from router.open_ledger import open_ledger
from router.policies import Policy
from router.policies.fixed import Fixed
from router.pricing.accounts import Prices
from router.pricing.hours import Typical
from router.pricing.typical import typical_traffic
from router.rollout.learned import Learned
from router.rollout.notes import open_notes
from router.rollout.rollout import Rollout
from router.rollout.shelf import Shelf
from router.shadow import Shadowed, Shadows
from router.switches.backend_switch import BackendSwitch
from router.switches.modes import ModeRule, Modes

HASH_KEY = "APPORTION_HASH_KEY"  # the environment variable whose value keys the hashes of logged texts


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that answers queries, connected. `close` it when no query is running."""

    config: Config
    plans: Mapping[str, Plan]
    backends: Mapping[str, Backend]
    predictions: Predictions
    ledger: Ledger
    store: DecisionStore
    classes: AnswerClasses
    allocator: Allocator
    rollout: Rollout
    batches: Batches
    loads: LoadWatch
    shadows: Shadows | None = None  # None: [shadow] share is 0
    renewal: Renewal | None = None  # None: the ledger's store is in this process
    guard: Guard = field(default_factory=lambda: Guard(None))
    certificates: PortCertificates = PortCertificates()  # noqa: RUF009 (frozen)

    @property
    def answers(self) -> Allocator | Shadowed:
        """What callers' queries go to: the allocator, with shadow runs behind it where there are any."""
        return self.allocator if self.shadows is None else Shadowed(self.allocator, self.shadows)

    async def close(self) -> None:
        """Return what was taken in advance, commit what is queued; close all parts."""
        if self.shadows is not None:
            await self.shadows.close()
        await self.loads.close()
        await self.rollout.close()
        await asyncio.to_thread(self.batches.close)
        try:
            if self.renewal is not None:
                await self.renewal.close()
            await self.store.close()
        finally:
            for backend in self.backends.values():
                await backend.close()
            await self.classes.close()


def assemble(
    config: Config,
    *,
    base: Path,  # the folder that paths of the configuration are relative to
    backends: Mapping[str, Backend] | None = None,
    predictions: Predictions | None = None,
    store: DecisionStore | None = None,
    replica: str = "",
    monotonic_s: Callable[[], float] = time.monotonic,
    wall_s: Callable[[], float] = time.time,
    new_id: Callable[[Query], str] | None = None,
    open_store: Callable[[Config, Path], DecisionStore]
    | None = None,  # default: the configuration's, owned here
) -> Service:
    """Build the service of a configuration; parts that are given take the place of those it would build.

    Blocks while a bundle and recordings are read; call it before the event loop serves. Raises `ConfigError`,
    `BundleError` (a bundle that is configured must fit), `RecordingError` or `StoreError`, and leaves nothing open.
    `replica` must be new with every start, since rows are numbered from 1; by default it is host-and-8-digits.
    """
    guard = _guard(config, base, wall_s, monotonic_s)
    certificates = PortCertificates.of(config.tls, base, wall_s, monotonic_s)
    named = build_plans(config)
    _menu(config, named)  # its mistakes are told before anything is opened
    policy = _policy(config)
    if backends is None:
        backends = build_backends(config, base)
    learned = _learned(config, base, named, predictions)
    menu = _menu(config, learned.plans)
    price_list = PriceList(config)
    at = wall_s() if price_list.changes else -math.inf
    speeds = LiveSpeeds(speeds_of(config))
    forecaster = Forecaster(price_list.bounds(at), speeds)
    typical = typical_traffic(learned.predictions, menu.plans, forecaster)
    chooser = _chooser(config, menu, policy, learned.predictions, backends, forecaster)
    verifiers = online_verifiers(config)
    replica = replica or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    if store is None and open_store is None:
        refuse_foreign_store(config, base)
    # a store that was handed in keeps no budgets
    place = ledger_address(config) if store is None else IN_MEMORY
    notes = open_notes(place, base, wall_s)
    ledger = open_ledger(config, base, replica, monotonic_s, wall_s, address=place)
    if store is None:
        try:
            # last: nothing after it fails, so that nothing is left open
            store = (open_store or own_store)(config, base)
        except BaseException:
            if isinstance(ledger, Leased):
                ledger.leave()
            raise
    pricing = _pricing(config, ledger, wall_s, typical)
    books = Books(
        chooser=replace(chooser, prices=pricing),
        bypass=_bypass(chooser),
        prices=price_list.prices(at),
        price_list=price_list,
        ledger=ledger,
        store=store,
        verifiers=verifiers,
        modes=_modes(config),
        settings=_settings(config, replica, os.environ, learned.degraded),
        monotonic_s=monotonic_s,
        wall_s=wall_s,
        new_id=new_id or decision_ids(wall_s),
        pricing=pricing,
    )
    classes = AnswerClasses()
    allocator = Allocator(books, backends, classes)
    shelf = Shelf(base / config.bundles, signers_of(config, base)) if config.bundles else None
    rollout = Rollout(config, named, books, shelf, notes, learned, wall_s)
    rollout.begin()
    return Service(
        config=config,
        plans=learned.plans,
        backends=backends,
        predictions=learned.predictions,
        ledger=ledger,
        store=store,
        classes=classes,
        allocator=allocator,
        rollout=rollout,
        batches=open_batches(place, base, wall_s),
        loads=LoadWatch(backends, {name: one.load_every_s for name, one in config.backends.items()}, speeds),
        shadows=_shadows(config, allocator, monotonic_s),
        renewal=_renewal(ledger, config),
        guard=guard,
        certificates=certificates,
    )


def _guard(
    config: Config, base: Path, wall_s: Callable[[], float], monotonic_s: Callable[[], float]
) -> Guard:
    auth, jwt = config.auth, config.auth.jwt
    web_tokens = WebTokens(jwt, base / jwt.keys, wall_s, monotonic_s) if jwt.keys else None
    return Guard(base / auth.tokens if auth.tokens else None, wall_s, monotonic_s, web_tokens)


def _menu(config: Config, plans: Mapping[str, Plan]) -> Menu:
    reference, untrained = reference_plan(config), untrained_plan(config)
    for key, name in (("reference", reference), ("untrained", untrained)):
        if name not in plans:
            raise ConfigError(f"{key}: {name!r} is no plan; choose from {', '.join(plans)}")
    return Menu(tuple(plans.values()), plans[reference], plans[untrained])


def _learned(
    config: Config, base: Path, named: Mapping[str, Plan], predictions: Predictions | None
) -> Learned:
    """The predictions given, else the bundle's; the plans with what it learned for them; what is wrong with it."""
    degraded: tuple[str, ...] = ()
    if predictions is None:
        predictions, degraded = load_predictions(config, base, named)
    plans, refused = resolve_risks(named, predictions)
    return Learned(predictions, plans, degraded + tuple(text for text in refused if text not in degraded))


def _chooser(
    config: Config,
    menu: Menu,
    policy: Policy,
    predictions: Predictions,
    backends: Mapping[str, Backend],
    forecaster: Forecaster,
) -> Chooser:
    able = {name: backend.capabilities for name, backend in backends.items()}
    return Chooser(
        menu=menu,
        policy=policy,
        policy_name=policy_name(config),
        predictions=predictions,
        forecaster=forecaster,
        feasibility=Feasibility(able, forecaster, BackendSwitch(members_of(backends))),
        price=config.price,
        latency_price=config.latency_price,
        seed=config.seed,
        quality_prices=quality_prices_of(predictions, menu.plans, forecaster),
    )


def _bypass(chooser: Chooser) -> Chooser:
    """The same with everything off that is learned: always the reference plan."""
    return replace(
        chooser,
        policy=Fixed(chooser.menu.reference.name),
        policy_name=REFERENCE,
        predictions=Untrained(),
        quality_prices=None,
    )


def _policy(config: Config) -> Policy:
    problems = Problems()
    policy = build_policy(config, problems)
    problems.raise_any()
    if policy is None:
        raise ConfigError(f"policy: {policy_name(config)!r} does not keep the contract of a policy")
    return policy


def _modes(config: Config) -> Modes:
    rules = tuple(ModeRule(Mode(entry.mode), entry.tenant, entry.share) for entry in config.modes)
    return Modes(Mode(config.mode), rules, config.seed)


def _settings(
    config: Config, replica: str, environ: Mapping[str, str], degraded: tuple[str, ...]
) -> Settings:
    return Settings(
        replica=replica,
        keep=Keep(config.store.keep),
        keep_by_tenant={name: Keep(tenant.keep) for name, tenant in config.store.tenants.items()},
        answers=config.answers,
        answers_by_task=config.answers_by_task,
        seed=config.seed,
        hash_key=environ.get(HASH_KEY, "").encode(),
        degraded=degraded,
    )


def _pricing(
    config: Config,
    ledger: Ledger,
    wall_s: Callable[[], float],
    typical: Typical,
) -> Prices | None:
    if config.budget.price == "fixed":
        return None
    accounts = ledger.accounts if isinstance(ledger, Leased) else Accounts()
    urgent, hours = config.budget.urgent_share, config.budget.hours
    return Prices(accounts, ledger, wall_s, hours=hours, typical=typical, urgent_share=urgent)


def _renewal(ledger: Ledger, config: Config) -> Renewal | None:
    if not isinstance(ledger, Leased) or ledger.store.immediate:
        return None
    return Renewal(ledger, config.store.retention_s)


def _shadows(config: Config, allocator: Allocator, monotonic_s: Callable[[], float]) -> Shadows | None:
    if config.shadow.share <= 0:
        return None
    ledger = in_process(round(config.shadow.dollars * 1e6), config.shadow.window_s, monotonic_s)
    return Shadows(allocator, ledger, share=config.shadow.share)

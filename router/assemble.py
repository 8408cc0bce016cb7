"""Configuration to objects: the only place that names concrete classes and connects the parts."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from msgspec.structs import replace

from predictors import Predictions
from predictors.observation import Query
from predictors.untrained import Untrained
from router.allocator import Allocator
from router.answering.classes import AnswerClasses
from router.auth.certificates import PortCertificates
from router.auth.guard import Guard
from router.auth.web_tokens import WebTokens
from router.backend_terms import speeds_of
from router.backends import BACKENDS, Backend
from router.batches.kept import Batches, open_batches
from router.books import Books, Settings
from router.choose import REFERENCE, Chooser, Menu
from router.config import Config
from router.configuration.budgets import ledger_address
from router.configuration.build_plans import build_plans, named_verifiers
from router.configuration.problems import Problems
from router.configuration.service import build_policy, policy_name, reference_plan, untrained_plan
from router.decisions import DecisionStore
from router.domain.decision import Keep, Mode
from router.domain.plan import Plan
from router.errors import ConfigError
from router.feasible import Feasibility
from router.forecast import Forecaster
from router.fresh_ids import FreshIds
from router.ledger import Ledger
from router.ledger.accounts import Accounts
from router.ledger.databases import IN_MEMORY
from router.ledger.in_process import in_process
from router.ledger.leased import Leased
from router.ledger.renewal import Renewal
from router.live_speeds import LiveSpeeds
from router.load_watch import LoadWatch
from router.modes import ModeRule, Modes
from router.open_ledger import open_ledger
from router.plugins import resolve
from router.policies import Policy
from router.policies.fixed import Fixed
from router.price_list import PriceList
from router.pricing.accounts import Prices
from router.pricing.offers import Offer
from router.pricing.typical import typical_hours, typical_offers
from router.quality_price import quality_prices_of
from router.risk_thresholds import resolve_risks
from router.rollout.learned import Learned, learned
from router.rollout.notes import open_notes
from router.rollout.rollout import Rollout
from router.rollout.shelf import Shelf
from router.rollout.signature import Signers
from router.shadow import Shadowed, Shadows
from router.verifiers import VERIFIERS, Verifier

HASH_KEY = "APPORTION_HASH_KEY"  # the environment variable whose value keys the hashes of logged texts
NO_BUNDLE = "no bundle: plans are chosen untrained"


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
    ledger: Ledger | None = None,
    store: DecisionStore | None = None,
    replica: str = "",
    monotonic_s: Callable[[], float] = time.monotonic,
    wall_s: Callable[[], float] = time.time,
    new_id: Callable[[Query], str] | None = None,
    environ: Mapping[str, str] = os.environ,
    open_store: Callable[[Config, Path], DecisionStore]
    | None = None,  # default: the configuration's, owned here
) -> Service:
    """Build the service of a configuration; parts that are given take the place of those it would build.

    Blocks while a bundle and recordings are read; call it before the event loop serves. Raises `ConfigError`,
    `BundleError` (a bundle that is configured must fit), `RecordingError` or `StoreError`, and leaves nothing open.
    `replica` must be new with every start, since rows are numbered from 1; by default it is host-and-8-digits.
    """
    auth, jwt = config.auth, config.auth.jwt
    web_tokens = WebTokens(jwt, base / jwt.keys, wall_s, monotonic_s) if jwt.keys else None
    guard = Guard(base / auth.tokens if auth.tokens else None, wall_s, monotonic_s, web_tokens)
    certificates = PortCertificates.of(config.tls, base, wall_s, monotonic_s)
    named = plans = build_plans(config)
    _menu(config, plans)  # its mistakes are told before anything is opened
    policy = _policy(config)
    if backends is None:
        backends = build_backends(config, base)
    degraded: tuple[str, ...] = ()
    if predictions is None:
        predictions, degraded = load_predictions(config, base, plans)
    plans, refused = resolve_risks(plans, predictions)
    degraded += tuple(text for text in refused if text not in degraded)
    menu = _menu(config, plans)
    price_list = PriceList(config)
    at = wall_s() if price_list.changes else -math.inf
    speeds = LiveSpeeds(speeds_of(config))
    forecaster = Forecaster(price_list.bounds(at), speeds)
    feasibility = Feasibility({name: backend.capabilities for name, backend in backends.items()}, forecaster)
    parts = (forecaster, feasibility, config.price, config.latency_price, config.seed)
    chosen_by = (menu, policy, policy_name(config), predictions, *parts)
    quality_prices = quality_prices_of(predictions, menu.plans, forecaster)
    replica = replica or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    verifiers = online_verifiers(config)
    place = (
        ledger_address(config) if store is None else IN_MEMORY
    )  # a store that was handed in keeps no budgets
    notes = open_notes(place if ledger is None else IN_MEMORY, base, wall_s)
    if ledger is None:
        ledger = open_ledger(config, base, replica, monotonic_s, wall_s, address=place)
    if store is None:
        try:
            # last: nothing after it fails, so that nothing is left open
            store = (open_store or own_store)(config, base)
        except BaseException:
            if isinstance(ledger, Leased):
                ledger.leave()
            raise
    offers, hours = typical_offers(predictions, menu.plans, forecaster), typical_hours(predictions)
    pricing = _pricing(config, ledger, wall_s, offers, hours)
    books = Books(
        chooser=Chooser(*chosen_by, quality_prices, pricing),
        bypass=Chooser(menu, Fixed(menu.reference.name), REFERENCE, Untrained(), *parts),
        prices=price_list.prices(at),
        price_list=price_list,
        ledger=ledger,
        store=store,
        verifiers=verifiers,
        modes=Modes(
            Mode(config.mode),
            tuple(ModeRule(Mode(entry.mode), entry.tenant, entry.share) for entry in config.modes),
            config.seed,
        ),
        settings=Settings(
            replica=replica,
            keep=Keep(config.store.keep),
            keep_by_tenant={name: Keep(tenant.keep) for name, tenant in config.store.tenants.items()},
            answers=config.answers,
            answers_by_task=config.answers_by_task,
            seed=config.seed,
            hash_key=environ.get(HASH_KEY, "").encode(),
            degraded=degraded,
        ),
        monotonic_s=monotonic_s,
        wall_s=wall_s,
        new_id=new_id or decision_ids(wall_s),
        pricing=pricing,
    )
    classes = AnswerClasses()
    allocator = Allocator(books, backends, classes)
    shadows = _shadows(config, allocator, monotonic_s)
    renewal = Renewal(ledger) if isinstance(ledger, Leased) and not ledger.store.immediate else None
    shelf = Shelf(base / config.bundles, signers_of(config, base)) if config.bundles else None
    rollout = Rollout(config, named, books, shelf, notes, Learned(predictions, plans, degraded), wall_s)
    rollout.begin()
    batches = open_batches(place, base, wall_s)
    loads = LoadWatch(backends, {name: one.load_every_s for name, one in config.backends.items()}, speeds)
    parts_of_it = (ledger, store, classes, allocator, rollout, batches, loads)
    return Service(config, plans, backends, predictions, *parts_of_it, shadows, renewal, guard, certificates)


def build_backends(config: Config, base: Path) -> dict[str, Backend]:
    """By name. Recorded backends share their recordings, which are read now. Raises `RecordingError`."""
    built: dict[str, Backend] = {}
    shelf = None
    for name, section in config.backends.items():
        kind = resolve("backend kind", BACKENDS, section.kind)
        if getattr(kind, "composed", False):
            continue  # made of those that are there then
        if section.kind == "recorded":
            if shelf is None:
                from router.backends.recording_shelf import RecordingShelf

                shelf = RecordingShelf(base)
            shelf.read(section.recording)
            built[name] = kind(name, section, shelf)
        elif section.ca_file:
            built[name] = kind(name, replace(section, ca_file=str(base / section.ca_file)))
        else:
            built[name] = kind(name, section)
    composed = {name: section for name, section in config.backends.items() if name not in built}
    members = dict(built)
    for name, section in composed.items():
        built[name] = resolve("backend kind", BACKENDS, section.kind)(name, section, members)
    return {name: built[name] for name in config.backends}


def load_predictions(
    config: Config, base: Path, plans: Mapping[str, Plan]
) -> tuple[Predictions, tuple[str, ...]]:
    """What was learned, and in words what of the configuration it does not know; `Untrained` without a bundle.

    Raises `BundleError` for a bundle that is damaged, was fitted on other features, or on other backends only.
    """
    if not config.bundle:
        return Untrained(), (NO_BUNDLE,)
    found = learned(base / config.bundle, config, plans, signers_of(config, base))
    return found.predictions, found.degraded


def signers_of(config: Config, base: Path) -> Signers | None:
    """Whose bundles are loaded; None: everybody's."""
    return Signers(base / config.bundle_signers) if config.bundle_signers else None


def own_store(config: Config, base: Path) -> DecisionStore:
    """The store of decisions and outcomes. Raises `StoreError`."""
    if config.store.sqlite == ":memory:" and not config.store.postgres:
        from router.decisions.memory import Memory

        return Memory()
    retention_s = config.store.retention_days * 86_400.0
    if config.store.postgres:
        from router.decisions.postgres import Postgres

        aside = base / ("apportion.db" if config.store.sqlite == ":memory:" else config.store.sqlite)
        return Postgres.open(config.store.postgres, aside, retention_s=retention_s)
    from router.decisions.sqlite import SQLite

    return SQLite.open(base / config.store.sqlite, retention_s=retention_s)


def online_verifiers(config: Config) -> dict[str, Verifier]:
    """Those that a query may name: of the table the ones that need neither gold nor options, and [verifiers].

    Raises `ConfigError`.
    """
    verifiers: dict[str, Verifier] = {}
    for name in VERIFIERS:
        try:
            kind = resolve("verifier", VERIFIERS, name)
        except ImportError:  # its library is in an extra that is not installed
            continue
        optional = not any(item.metadata.keys() & {"required", "required_online"} for item in fields(kind))
        if not kind.needs and optional:
            verifiers[name] = kind()
    problems = Problems()
    verifiers |= named_verifiers(config, problems)
    problems.raise_any()
    return verifiers


def decision_ids(wall_s: Callable[[], float]) -> Callable[[Query], str]:
    """Ids that nobody had and that sort by time: 12 hex digits of milliseconds and 20 of chance."""
    chance = FreshIds()
    return lambda query: f"{int(wall_s() * 1000):012x}{chance.digits(10)}"


def _menu(config: Config, plans: Mapping[str, Plan]) -> Menu:
    reference, untrained = reference_plan(config), untrained_plan(config)
    for key, name in (("reference", reference), ("untrained", untrained)):
        if name not in plans:
            raise ConfigError(f"{key}: {name!r} is no plan; choose from {', '.join(plans)}")
    return Menu(tuple(plans.values()), plans[reference], plans[untrained])


def _policy(config: Config) -> Policy:
    problems = Problems()
    policy = build_policy(config, problems)
    problems.raise_any()
    if policy is None:
        raise ConfigError(f"policy: {policy_name(config)!r} does not keep the contract of a policy")
    return policy


def _pricing(
    config: Config,
    ledger: Ledger,
    wall_s: Callable[[], float],
    offers: Sequence[Offer],
    hours: Sequence[float],
) -> Prices | None:
    if config.budget.price == "fixed":
        return None
    accounts = ledger.accounts if isinstance(ledger, Leased) else Accounts()
    urgent, hours = config.budget.urgent_share, config.budget.hours or hours
    return Prices(accounts, ledger, wall_s, hours=hours, offers=offers, urgent_share=urgent)


def _shadows(config: Config, allocator: Allocator, monotonic_s: Callable[[], float]) -> Shadows | None:
    if config.shadow.share <= 0:
        return None
    ledger = in_process(round(config.shadow.dollars * 1e6), config.shadow.window_s, monotonic_s)
    return Shadows(allocator, ledger, share=config.shadow.share)

"""Parts of a service that its configuration alone makes: backends, what was learned, the store, verifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from msgspec.structs import replace

from predictors import Predictions
from predictors.observation import Query
from predictors.untrained import Untrained
from router.backends import BACKENDS, Backend
from router.config import Config
from router.configuration.build_plans import named_verifiers
from router.configuration.problems import Problems
from router.decisions import DecisionStore
from router.domain.plan import Plan
from router.plugins import resolve
from router.random_ids import RandomIds
from router.rollout.learned import learned
from router.rollout.signature import Signers
from router.verifiers import VERIFIERS, Verifier

NO_BUNDLE = "no bundle: plans are chosen untrained"


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


def members_of(backends: Mapping[str, Backend]) -> dict[str, tuple[str, ...]]:
    """By composition: the backends that it asks."""
    asking = {name: getattr(backend, "needed", None) for name, backend in backends.items()}
    return {
        name: tuple(dict.fromkeys(one.name for one in needed())) for name, needed in asking.items() if needed
    }


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


def refuse_foreign_store(config: Config, base: Path) -> None:
    """Raises `StoreError` where the store's file is another program's: before budgets are put beside it."""
    if not config.store.postgres and config.store.sqlite != ":memory:":
        from router.decisions.schema import check_ours

        check_ours(base / config.store.sqlite)


def own_store(config: Config, base: Path) -> DecisionStore:
    """The store of decisions and outcomes. Raises `StoreError`."""
    if config.store.sqlite == ":memory:" and not config.store.postgres:
        from router.decisions.memory import Memory

        return Memory()
    retention_s = config.store.retention_s
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
    chance = RandomIds()
    return lambda query: f"{int(wall_s() * 1000):012x}{chance.digits(10)}"

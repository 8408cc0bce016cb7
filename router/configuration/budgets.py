"""Whether the budgets and prices of a configuration can be what it says, and the tree of accounts that it makes."""

from __future__ import annotations

import math
from pathlib import Path as File
from urllib.parse import parse_qs, urlsplit

from router.config import AccountConfig, BackendConfig, Config
from router.configuration.places import Path
from router.configuration.problems import Problems
from router.connections.store_address import is_postgres
from router.costs.backend_terms import since
from router.errors import ConfigError
from router.ledger import ALL
from router.ledger.accounts import DOLLARS, GPU_SECONDS, MICRO, TOKENS, Account, Accounts
from router.ledger.databases import IN_MEMORY
from router.ledger.window import Window
from router.pricing.demand import HOURS

UNITS = (DOLLARS, TOKENS, GPU_SECONDS)


def check_budgets(config: Config, problems: Problems) -> None:
    """Note what is wrong."""
    for name, backend in config.backends.items():
        _check_prices(backend, ("backends", name), problems)
    for currency, dollars in config.budget.currencies.items():
        path: Path = ("budget", "currencies", currency)
        if currency in UNITS:
            problems.add(path, f"{currency!r} is no currency with a price of its own")
        elif not 0 < dollars < math.inf:
            problems.add(path, f"wants the dollars that one unit costs, above 0, got {dollars:g}")
    hours = config.budget.hours
    if hours and (len(hours) != HOURS or not all(0 <= share < math.inf for share in hours) or not any(hours)):
        problems.add(
            ("budget", "hours"), f"wants {HOURS} shares >= 0, one for each hour, not all 0, got {len(hours)}"
        )
    for index, account in enumerate(config.budgets):
        _check_account(account, config, ("budgets", index), problems)
    if not problems.touch(("budgets",)) and not problems.touch(("budget",)):
        try:
            build_accounts(config)
        except ConfigError as error:
            problems.add(("budgets",), str(error))


def build_accounts(config: Config) -> Accounts:
    """The tree of accounts. Raises `ConfigError`."""
    budget = config.budget
    root = Account(ALL, _micro(budget.dollars), Window(budget.window, budget.window_s), within="")
    others = [
        Account(
            name=account.name,
            limit=_micro(account.amount),
            window=Window(account.window, account.window_s),
            unit=account.unit,
            within=account.within,
            tenants=account.tenants,
            dollars_per_unit=budget.currencies.get(account.unit, 1.0),
        )
        for account in config.budgets
    ]
    return Accounts([root, *others], refuse_unknown=budget.unknown_tenants == "refuse")


def check_ledger_place(config: Config, folder: File, problems: Problems) -> None:
    """Note what a service would not find when it starts."""
    address, path = config.store.ledger, ("store", "ledger")
    if config.store.postgres:
        _check_server(config.store.postgres, ("store", "postgres"), problems)
        if not is_postgres(config.store.postgres):
            wanted = f"wants postgresql://HOST/DATABASE, got {config.store.postgres!r}"
            problems.add(("store", "postgres"), wanted)
    if is_postgres(address):
        _check_server(address, path, problems)
    elif "://" in address:
        problems.add(path, f"wants postgresql://… or a file, got {address!r}")
    elif address and address != IN_MEMORY and not (folder / address).parent.is_dir():
        problems.add(path, f"there is no folder {(folder / address).parent}")


def _check_server(address: str, path: Path, problems: Problems) -> None:
    try:
        parts = urlsplit(address)
        password = parts.password or "password" in parse_qs(parts.query)
    except ValueError as error:
        problems.add(path, f"{address!r} is no address: {error}")
        return
    if password:
        problems.add(path, "holds a password; put it into PGPASSWORD or ~/.pgpass")
        return
    try:
        from router.connections.postgres_connection import fault_of
    except ImportError:
        return  # the start says which extra is missing
    # a service would take it for a server that is away, and wait
    fault = fault_of(address) if is_postgres(address) else ""
    if fault:
        problems.add(path, f"is no address of a server: {fault}")


def ledger_address(config: Config) -> str:
    """Where budgets are kept: as configured, else with the decisions."""
    beside = config.store.sqlite if config.store.sqlite == IN_MEMORY else f"{config.store.sqlite}.budgets"
    return config.store.ledger or config.store.postgres or beside


def _micro(units: float | None) -> int | None:
    return None if units is None else round(units * MICRO)


def _check_account(account: AccountConfig, config: Config, path: Path, problems: Problems) -> None:
    name = account.name
    if not name.strip() or not name.isprintable() or "/" in name or name == ALL:
        problems.add(
            (*path, "name"),
            f"wants printable text without '/', and not {ALL!r} (that is [budget]), got {name!r}",
        )
    unit = account.unit
    if unit not in UNITS and unit not in config.budget.currencies:
        known = ", ".join((*UNITS, *config.budget.currencies))
        problems.add(
            (*path, "unit"),
            f"currency {unit!r} has no price: write currencies = {{ {unit or 'EUR'} = DOLLARS }} in [budget], "
            f"or choose from {known}",
        )
    if unit == GPU_SECONDS and not any(backend.gpu_share > 0 for backend in config.backends.values()):
        problems.add(
            (*path, "unit"), "no backend says how much of its GPUs a sample takes: give them a gpu_share"
        )


def _check_prices(backend: BackendConfig, path: Path, problems: Problems) -> None:
    if backend.gpu_share == 0 and (
        backend.price_per_gpu_second or any(entry.price_per_gpu_second for entry in backend.prices)
    ):
        text = "means nothing without gpu_share: the GPUs that one running sample takes"
        problems.add((*path, "price_per_gpu_second"), text)
    dates: list[float] = []
    for index, entry in enumerate(backend.prices):
        try:
            dates.append(since(entry))
        except ValueError:
            text = f'wants a date such as "2027-01-31" or "2027-01-31T12:00:00Z", got {entry.since!r}'
            problems.add((*path, "prices", index, "since"), text)
    if len(set(dates)) < len(dates):
        problems.add((*path, "prices"), "two prices begin at the same time")

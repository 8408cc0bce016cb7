"""From configuration to this replica's part of the accounts: the tree, the shared store, the first lease."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from router.config import Config
from router.configuration.budgets import build_accounts, ledger_address
from router.ledger.databases import open_shared
from router.ledger.leased import Leased, Terms

LEASE_BEYOND_S = 600.0  # of a lease beyond a request's time: so long a replica serves while the store is away


def open_ledger(
    config: Config,
    base: Path,
    replica: str,
    monotonic_s: Callable[[], float],
    wall_s: Callable[[], float],
    *,
    address: str = "",  # default: as configured
) -> Leased:
    """Register with the store and take a first lease; blocks.

    Raises `ConfigError` (a replica that is alive was configured otherwise) or `StoreError`.
    """
    accounts = build_accounts(config)
    shared = open_shared(address or ledger_address(config), base, wall_s)
    request_s = config.budget.request_s
    terms = Terms(request_s, request_s + LEASE_BEYOND_S, allowance=config.budget.away_share)
    ledger = Leased(accounts, shared, replica, monotonic_s, terms)
    try:
        shared.register(replica, accounts)
        ledger.exchange()
    except BaseException:
        shared.close()
        raise
    return ledger

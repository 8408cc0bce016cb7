"""One account in this process alone: what shadow runs may spend, and tests. It forgets everything with its process."""

from __future__ import annotations

from collections.abc import Callable

from router.ledger import ALL
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.window import Window


def in_process(limit: int | None, window_s: float, clock: Callable[[], float]) -> Leased:
    """A ledger of `limit` micro-dollars per rolling window of `clock` (monotonic); None: count, refuse nothing."""
    account = Account(ALL, limit, Window("rolling", window_s), within="")
    return Leased(Accounts([account]), Memory(clock), "here", clock)

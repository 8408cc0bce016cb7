"""Accounts that had too little for a query: which of them are used up now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from router.domain.usage import units
from router.durations import span
from router.ledger import Balance
from router.ledger.accounts import DOLLARS

MOST_ACCOUNTS = 50  # an account per tenant is possible; the latest are kept


class ExhaustedAccounts:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._needs: dict[str, int] = {}  # account -> micro-dollars that the latest query it refused needed

    def note(self, account: str, needed_micros: int) -> None:
        """A query was refused for the account: even its cheapest plan may cost so much."""
        self._needs.pop(account, None)
        self._needs[account] = needed_micros
        if len(self._needs) > MOST_ACCOUNTS:
            del self._needs[next(iter(self._needs))]

    def used_up(self, balances: Iterable[Balance]) -> Iterator[str]:
        """A sentence about each that is: with a limit of 0, or still less than that query needed.

        What runs is not counted as spent: most of what it holds comes back.
        """
        for balance in balances:
            if balance.limit is None:
                continue
            left, unit = max(0, balance.limit - balance.spent), balance.unit
            need = self._needs.get(balance.account, 0) if unit == DOLLARS else 0
            if not left or left < need:
                told = f"{units(left)} of {units(balance.limit)} {unit} per {span(balance.window_s)} are left"
                needed = f", and a query may cost {units(need)}" if need else ""
                yield f"budget {balance.account!r} is used up: {told}{needed}"

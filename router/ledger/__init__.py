"""Money that cannot be overspent: reserve the worst case before a plan starts, settle what was used.

All amounts are integer micro-dollars. `InProcess` is one account with one rolling window in this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount set aside for one request."""

    request_id: str
    micros: int
    account: str = "default"


@dataclass(frozen=True, slots=True)
class Balance:
    """Where an account stands now; `limit` None means no budget is set."""

    limit: int | None
    spent: int
    reserved: int

    @property
    def left(self) -> int | None:
        """What may still be reserved; None without a limit."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


class Ledger(Protocol):
    """Reserve, settle, look. No network, no waiting."""

    def reserve(self, request_id: str, micros: int) -> Reservation:
        """Set `micros` >= 0 aside; again with the same request id returns the first reservation.

        Raises `BudgetExceeded` (with the time after which it may fit) where it does not.
        """
        ...

    def settle(self, reservation: Reservation, used: int) -> None:
        """Book `used` and give the rest back; a second settlement of the same request changes nothing."""
        ...

    def balance(self) -> Balance:
        """The account now."""
        ...

    def wait_s(self, micros: int) -> float | None:
        """Seconds until `micros` may be reserved, if nobody else is quicker; None: not under this limit."""
        ...

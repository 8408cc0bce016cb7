"""Money that cannot be overspent: reserve the worst case before a plan starts, settle what was used.

    accounts.py    what is budgeted: a tree of accounts, each with a unit, a window and a limit
    window.py      when something spent leaves the window: rolling, or the UTC hour, day or month
    state.py       one account as all replicas share it, and the movements in it
    sync.py        what a replica's request does to it: a pure function
    shared.py      the shared store's contract, and one in memory
    sql.py         the same on SQLite and PostgreSQL, one code
    hand.py        what this replica has of one account: taken in advance, spent, reserved
    requests.py    which requests are reserved, until when, and which were settled
    leased.py      the ledger that serves: local and exact, no network in `reserve` and `settle`
    renewal.py     keeps it supplied: renews in the background, asks when a share is too small, returns on drain
    audit.py       proves from the stored movements that every micro-unit adds up
    databases.py   how SQLite and PostgreSQL are connected to, and which of them an address names
    exhausted.py   which accounts had too little for a query, and are used up now
    in_process.py  one account in this process alone: what shadow runs may spend

How it holds. The store counts an amount as gone from the moment a replica takes it; the replica gives out only what
it has taken. So at every moment, spent in the window + held by replicas <= limit, whoever dies and whatever is
delayed. A holder stops reserving `request_s` before its lease ends (monotonic clock, counted from before it asked), so
that all it has let start is settled, or charged at its worst case, when the store books what was not returned as
spent. A limit lowered below what is spent and held stops new work here at once, elsewhere with the next look at the
store (`poll_s`); what is in flight is honoured and shown.

All amounts are whole micro-units: 1,000,000 are one dollar (or one token, GPU second, unit of a currency).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ALL = "all"  # the account that every request must fit


@dataclass(frozen=True, slots=True)
class Amount:
    """What a request may use, or has used, in every unit that an account may be kept in."""

    micros: int  # micro-dollars, >= 0
    tokens: int = 0  # in and out, whole tokens, >= 0
    gpu_micros: int = 0  # micro GPU seconds, >= 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.micros + other.micros, self.tokens + other.tokens, self.gpu_micros + other.gpu_micros
        )

    def minus(self, other: Amount) -> Amount:
        """What is left after `other`, never below 0 in any unit."""
        return Amount(
            max(0, self.micros - other.micros),
            max(0, self.tokens - other.tokens),
            max(0, self.gpu_micros - other.gpu_micros),
        )

    def at_most(self, other: Amount) -> Amount:
        """The smaller of both, unit by unit."""
        return Amount(
            min(self.micros, other.micros),
            min(self.tokens, other.tokens),
            min(self.gpu_micros, other.gpu_micros),
        )


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount set aside for one request in all accounts that it must fit."""

    request_id: str
    amount: Amount
    tenant: str = ""
    accounts: tuple[str, ...] = (ALL,)  # the narrowest first


@dataclass(frozen=True, slots=True)
class Balance:
    """Where an account stands, over all replicas as of the last look at the store, and this one as of now."""

    limit: int | None  # micro-units; None: no budget is set
    spent: int  # in the window, what dead replicas did not return included
    reserved: int  # by requests in flight
    account: str = ALL
    unit: str = "USD"
    window: str = ""  # "rolling", "hour", "day" or "month"
    window_s: float = 0.0  # its nominal length
    ends_in_s: float | None = None  # until a calendar window ends; None: it rolls
    leased: int = 0  # taken in advance by replicas and not reserved: nobody has spent it yet
    lost: int = 0  # of `spent`: what dead replicas did not return
    version: int = 0  # of the limit
    breached: int = 0  # used beyond reservations, since this replica's start; part of `spent`
    # (in seconds, amount): what of `spent` leaves the window when
    leaving: tuple[tuple[float, int], ...] = ()
    queries: int = 0  # reserved for since the account began, over all replicas
    queries_here: int = 0  # of these, by this replica since its start
    age_s: float = 0.0  # since the last look at the store
    in_hand: int | None = None  # may be reserved here while the store is away; None: it is there
    in_hand_s: float = 0.0  # for so long

    @property
    def left(self) -> int | None:
        """What may still be reserved by somebody; None without a limit, below 0 after a limit was lowered."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


class Ledger(Protocol):
    """Reserve, settle, look. No network and no waiting, but in `obtain`."""

    def reserve(self, request_id: str, amount: Amount, tenant: str = "") -> Reservation:
        """Set an amount aside in the tenant's account and all above it, or in none of them.

        Again with the same request id returns the first reservation. Raises `BudgetExceeded` (with the time after
        which it may fit) where it does not, `UnknownName` for a tenant that no account takes where that is refused.
        """
        ...

    async def obtain(self, request_id: str, amount: Amount, tenant: str = "") -> Reservation:
        """As `reserve`; where only this replica's share is too small, ask the shared store, once."""
        ...

    def settle(self, reservation: Reservation, used: Amount) -> Amount:
        """Book what was used, give the rest back and return what the request was charged.

        A second settlement of the same request changes nothing, nor one after it was charged at its worst case
        because it was not settled within its time. More than was reserved is charged in full, and counted.
        """
        ...

    def left(self, tenant: str = "") -> int | None:
        """Micro-dollars that a request of the tenant may reserve at most, as far as is known here; None: no limit."""
        ...

    def tightest(self, tenant: str = "") -> tuple[int | None, str]:
        """The same, and the account that says so."""
        ...

    @property
    def troubles(self) -> Sequence[str]:
        """What is not as it should be, in words."""
        ...

    def balance(self, account: str = ALL) -> Balance:
        """One account. Raises `UnknownName`."""
        ...

    def balances(self) -> Sequence[Balance]:
        """Of all accounts that are configured or in use here, by name."""
        ...

    async def set_limit(self, account: str, limit: int | None) -> Balance:
        """Another limit, in micro-units; it holds here when this returns. Raises `UnknownName`, `StoreError`."""
        ...

    def wait_s(self, amount: Amount, tenant: str = "") -> float | None:
        """Seconds until it may be reserved, if nobody else is quicker; None: not under these limits."""
        ...

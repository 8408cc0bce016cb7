"""One account as all replicas share it: three pots (available, held by leases, booked as spent) and what moves them.

Counters are totals since a lease began, so that a request that is repeated, or whose reply was lost, changes nothing
twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from router.ledger.window import Window

# the store's clock may jump ahead by so much during a lease; further, money is booked twice
CLOCK_STEP_S = 30.0


class Moved(Enum):
    """What a movement does."""

    GRANT = "grant"  # available -> held
    RETURN = "return"  # held -> available
    SPEND = "spend"  # held -> booked
    BREACH = "breach"  # available (or nothing) -> booked: used beyond what was held
    ALLOWED = "allowed"  # the same, out of the allowance for the time that the store was away
    LAPSE = "lapse"  # held -> booked: not returned by a replica whose lease ended
    LATE = "late"  # what such a replica says afterwards it had spent of that: nothing moves
    LIMIT = "limit"  # the limit is `amount` from now on (-1: none)
    HONOUR = "honour"  # nothing -> held: in flight when a limit came where there was none


BOOKED = frozenset((Moved.SPEND, Moved.BREACH, Moved.ALLOWED, Moved.LAPSE))


@dataclass(frozen=True, slots=True)
class Movement:
    """One row of the account's books."""

    at: float  # the store's clock, seconds since the epoch
    account: str
    kind: Moved
    amount: int  # micro-units, >= 0
    replica: str = ""
    lease: int = 0
    leaves_at: float = 0.0  # of what is booked: when it leaves the window
    version: int = 0  # of the limit


@dataclass(slots=True)
class Lease:
    """What one replica took in advance. All amounts are totals since the lease began."""

    number: int
    sequence: int = 0  # of the last request that was heeded
    granted: int = 0
    returned: int = 0
    spent: int = 0  # booked out of what it held
    beyond: int = 0  # booked beyond it
    lapsed: int = 0  # booked because the lease ended; it is closed then
    reserved: int = 0  # in flight, as it last said
    ends_at: float = 0.0
    asked_at: float = 0.0
    queries: int = 0  # that the replica has reserved for since its start
    closed: bool = False

    @property
    def held(self) -> int:
        """Taken and neither returned nor booked, >= 0."""
        return self.granted - self.returned - self.spent - self.lapsed


@dataclass(slots=True)
class State:
    """An account's row in the store."""

    limit: int | None
    configured: int | None  # the limit that the configuration says; `limit` may have been set since
    window: str
    window_s: float
    version: int = 1
    opened: bool = False  # its books have a first row
    now: float = 0.0  # the latest time seen: a clock that goes back gives nothing back
    slices: list[tuple[float, int]] = field(default_factory=list)  # (leaves at, booked), in order
    lost: list[tuple[float, int]] = field(default_factory=list)  # of the slices: lapsed
    leases: dict[str, Lease] = field(default_factory=dict)  # by replica
    leases_made: int = 0
    queries: int = 0  # that were reserved for, by all replicas
    hungry_at: float = 0.0  # when a replica last got less than it needed while others held some
    terms: dict[str, str] = field(default_factory=dict)  # of all accounts; kept in `all` alone
    unit: str = ""  # that its amounts are in; "": not known

    @property
    def booked(self) -> int:
        """Spent in the window."""
        return sum(amount for _, amount in self.slices)

    @property
    def held(self) -> int:
        """By all leases."""
        return sum(lease.held for lease in self.leases.values())


@dataclass(frozen=True, slots=True)
class Ask:
    """What one replica says about one account, and what it wants."""

    account: str
    limit: int | None  # as configured, for an account that the store does not have yet
    window: Window
    sequence: int = 1  # of this replica's requests; one that another has overtaken changes nothing
    lease: int = 0  # its number; 0: none yet
    granted: int = 0  # as far as the replica knows
    spent: int = 0  # total since the lease began, also what it used beyond
    returned: int = 0
    reserved: int = 0
    allowed: int = 0  # beyond what was held, this much was allowed because the store was away
    honour: int = 0  # in flight beyond what it held when a limit came where there was none
    want: int = 0  # would like that much more
    need: int = 0  # cannot serve a waiting request without that much more
    lease_s: float = 1020.0
    queries: int = 0  # reserved for since this replica's start
    leave: bool = False  # close the lease: everything comes back


@dataclass(frozen=True, slots=True)
class Answer:
    """What the replica then knows. Times are seconds from the store's now."""

    account: str
    lease: int
    granted: int  # total; another lease than the one named begins anew
    beyond: int  # total that was booked beyond what it held
    limit: int | None
    version: int
    booked: int
    held: int  # by all leases, reserved included
    reserved: int  # by requests in flight, all replicas
    lost: int
    hungry: bool  # others need what you do not
    queries: int = 0  # reserved for, by all replicas
    leaving: tuple[tuple[float, int], ...] = ()  # (in seconds, amount), in order: what leaves the window when
    ends_in_s: float | None = None
    ahead_s: float = (
        0.0  # of the store's clock is the latest time that it ever told: so long nothing leaves the window
    )

    @property
    def stands_still(self) -> str:
        """That nothing leaves the window for now, and why; "" where it does, or the clock stepped as clocks do."""
        if self.ahead_s < CLOCK_STEP_S:
            return ""
        ahead = timedelta(seconds=round(self.ahead_s))
        return f"the clock of the store of budgets was set back: nothing leaves the windows for {ahead}"

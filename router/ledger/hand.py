"""What this replica has in hand of one account: taken in advance, spent, reserved; and how much it should have."""

from __future__ import annotations

from dataclasses import replace

from router.ledger import Amount, Balance
from router.ledger.accounts import DOLLARS, GPU_SECONDS, TOKENS, Account
from router.ledger.state import Answer, Ask

FIRST_SHARE = 64  # of the limit is taken at the start, before anything is known about rates
SMOOTHING = 0.5  # of the newest spend rate in its average
# when only open reservations stand in the way: they are settled within a request's time
RESERVED_RETRY_S = 1.0
RETRY_S = 2.0  # as often as replicas look whether others need their money
DRIFT = 1e-3  # two monotonic clocks run apart by less


class Hand:
    """One account in this replica. All amounts are micro-units, totals since the lease began."""

    __slots__ = (
        *("account", "measure", "lease", "granted", "returned", "spent", "beyond", "reserved"),
        *(
            "unlimited",
            "usable_until",
            "credit",
            "honoured",
            "breaches",
            "breached",
            "waiting",
            "used_at",
            "queries",
        ),
        *("_answer", "_answered", "_answered_at", "_rate", "_rated_at", "_rated_spent", "_peak", "_largest"),
    )

    def __init__(self, account: Account, now: float) -> None:
        self.account = account
        self.measure = account.measure()
        self.lease = 0  # its number in the store
        self.granted = self.returned = self.spent = self.beyond = self.reserved = 0
        self.unlimited = account.limit is None
        self.usable_until = float("-inf")  # monotonic
        self.credit = 0  # allowance while the store is away
        self.honoured = 0  # in flight beyond what was held when a limit came
        self.breaches = self.breached = 0  # settlements above their reservation
        self.waiting = 0  # of requests that did not fit and wait for the store
        self.used_at = now
        self.queries = 0  # reserved for since the start
        self._answer: Answer | None = None
        self._answered: Ask | None = None  # what `_answer` was the answer to
        self._answered_at = now
        self._rate = 0.0  # micro-units a second
        self._rated_at, self._rated_spent = now, 0
        self._peak = 0  # most that was reserved since the last request
        self._largest = 0  # single reservation, forgotten slowly

    @property
    def hold(self) -> int:
        """Taken and neither returned nor spent; what is reserved is part of it."""
        return self.granted - self.returned - self.spent + self.beyond

    @property
    def limit(self) -> int | None:
        """As last heard, else as configured."""
        return self.account.limit if self._answer is None else self._answer.limit

    @property
    def free(self) -> int:
        """Taken and not reserved."""
        return self.hold - self.reserved

    @property
    def in_use(self) -> bool:
        """Whether a request is reserved here, or waits to be."""
        return bool(self.reserved or self.waiting)

    def fits(self, need: int, now: float) -> bool:
        """Whether that much may be reserved at once."""
        if self.unlimited:
            return True
        free = self.granted - self.returned - self.spent + self.beyond - self.reserved
        if now < self.usable_until:
            return need <= free + self.credit
        return need <= min(free, 0) + self.credit

    def take(self, need: int, now: float) -> None:
        """Reserve it."""
        self.reserved += need
        self.queries += 1
        self._peak = max(self._peak, self.reserved)
        self._largest = max(self._largest, need)
        self.used_at = now

    def settle(self, held: int, used: int) -> None:
        """Of a reservation of `held`, `used` was used."""
        self.reserved -= held
        self.spent += used
        if used > held:
            self.breaches += 1
            self.breached += used - held

    # ------------------------------------------------------------------------------------------------ with the store

    def ask(self, sequence: int, lease_s: float, horizon_s: float, now: float, *, leave: bool = False) -> Ask:
        """What to tell the store and to want of it; what is too much is given back with this, and gone from here."""
        self._measure_rate(now)
        target = self._target(horizon_s)
        self._peak = max(self.reserved, int(self._peak * 0.8))
        self._largest = int(self._largest * 0.9)
        need = max(0, self.waiting - self.free)
        spare = self._spare(target, leave=leave)
        self.returned += spare
        want = 0 if spare or leave or self._hungry else max(0, target - self.hold)
        return Ask(
            account=self.account.name,
            limit=self.account.limit,
            window=self.account.window,
            sequence=sequence,
            lease=self.lease,
            granted=self.granted,
            spent=self.spent,
            returned=self.returned,
            reserved=self.reserved,
            allowed=self.credit,
            honour=self.honoured,
            want=want,
            need=0 if leave else need,
            lease_s=lease_s,
            queries=self.queries,
            leave=leave,
        )

    def hear(self, ask: Ask, answer: Answer, usable_until: float, now: float) -> bool:
        """Take in what the store answered to `ask`; whether there is something to give back at once."""
        if self.lease and answer.lease != self.lease:
            # the old lease had lapsed: all that it held is booked, and a new one begins
            self.spent -= ask.spent
            self.returned -= ask.returned
        self.lease, self.granted, self.beyond = answer.lease, answer.granted, answer.beyond
        limit_came = self.unlimited and answer.limit is not None
        self.honoured = max(0, -self.free) if limit_came else 0
        self.unlimited, self.usable_until, self.credit = answer.limit is None, usable_until, 0
        self._answer, self._answered, self._answered_at = answer, ask, now
        back = max(0, self.free)
        if answer.limit is None or answer.booked + answer.held <= answer.limit or not back:
            return False
        self.returned += back  # the limit was lowered: nothing new starts
        return True

    def begin_anew(self, left: Ask) -> None:
        """Its lease was closed by `left`, and it is used again: what was not told then is told of the next lease."""
        self.spent, self.queries = self.spent - left.spent, self.queries - left.queries
        self.lease = self.granted = self.returned = self.beyond = 0
        self._answered = replace(left, spent=0, queries=0)

    def _measure_rate(self, now: float) -> None:
        passed = now - self._rated_at
        if passed > 0:
            gone = self.spent + self.reserved  # what is decided and reported later stays reserved for long
            rate = max(0, gone - self._rated_spent) / passed
            weight = min(1.0, SMOOTHING * max(passed, 0.05))  # requests in a hurry say little about a rate
            self._rate += weight * (rate - self._rate) if self._rate else rate
            self._rated_at, self._rated_spent = now, gone

    def _target(self, horizon_s: float) -> int:
        limit = self.limit
        if not self._largest and not self.spent:
            return 0 if limit is None else limit // FIRST_SHARE
        return self._peak + self._largest + int(self._rate * horizon_s)

    def _spare(self, target: int, *, leave: bool) -> int:
        if self.free <= 0 or not self.lease:
            return 0
        if leave:
            return self.free
        if self.waiting:
            return 0
        if self._hungry:
            return max(0, self.free - int(self._rate))  # one second's worth stays
        return min(self.free, self.hold - target) if self.hold > 2 * target else 0

    @property
    def _hungry(self) -> bool:
        """Others need money, and this replica does not."""
        return self._answer is not None and self._answer.hungry and not self.waiting

    # ------------------------------------------------------------------------------------------------------- looking

    def in_hand(self, now: float) -> int:
        """May be reserved here without the store."""
        return (max(0, self.free) if now < self.usable_until else 0) + self.credit

    def available(self, now: float) -> int:
        """In the store for the taking, as of the last answer; with what has left the window since."""
        answer = self._answer
        if answer is None:
            return self.account.limit or 0
        if answer.limit is None:
            return 0
        passed = now - self._answered_at
        left = sum(amount for leaves, amount in answer.leaving if leaves <= passed)
        return max(0, answer.limit - answer.booked - answer.held + left)

    def may_get(self, need: int, now: float) -> bool:
        """Whether asking the store may help; where only others hold money, one question in `RETRY_S`."""
        answer = self._answer
        if answer is None or self.fits(need, now):
            return True
        missing = need - (max(0, self.free) if now < self.usable_until else 0)
        if missing <= self.available(now):
            return True
        return answer.held > self.hold and now >= self._answered_at + RETRY_S and need <= (self.limit or 0)

    def wait_s(self, need: int, now: float) -> float | None:
        """Seconds until it may fit; None: never under this limit."""
        limit = self.limit
        if self.unlimited or limit is None:
            return 0.0
        if need > limit:
            return None
        missing = need - (max(0, self.free) if now < self.usable_until else 0) - self.available(now)
        if missing <= 0 or self._answer is None:
            return 0.0
        passed = now - self._answered_at
        for leaves, amount in self._answer.leaving:
            if leaves > passed:
                missing -= amount
                if missing <= 0:
                    return leaves - passed
        return RESERVED_RETRY_S

    def dollars(self, micro_units: int) -> int | None:
        """Micro-dollars for an amount of this account; None where it is not kept in money."""
        if self.account.unit in {TOKENS, GPU_SECONDS}:
            return None
        rate = 1.0 if self.account.unit == DOLLARS else self.account.dollars_per_unit
        return micro_units if rate == 1.0 else int(micro_units * rate)

    def balance(self, now: float, *, away: bool = False) -> Balance:
        """The account as of the last answer, and this replica's part as of now; `away`: the store is."""
        answer, ask, account = self._answer, self._answered, self.account
        leaving: tuple[tuple[float, int], ...] = ()
        if answer is None or ask is None:
            limit, booked, held, reserved, lost, version, ends = (account.limit, 0, 0, 0, 0, 0, None)
            since, before, queries = self.spent, 0, self.queries
        else:
            passed = now - self._answered_at
            left = sum(amount for leaves, amount in answer.leaving if leaves <= passed)
            limit, booked, held = answer.limit, answer.booked - left, answer.held
            reserved, lost, version = answer.reserved, answer.lost, answer.version
            queries = answer.queries + self.queries - ask.queries
            leaving = tuple((leaves - passed, amount) for leaves, amount in answer.leaving if leaves > passed)
            ends = None if answer.ends_in_s is None else answer.ends_in_s - passed
            since, before = self.spent - (ask.spent if ask.lease in {0, answer.lease} else 0), ask.reserved
        reserved += self.reserved - before
        return Balance(
            limit=limit,
            spent=booked + since,
            reserved=reserved,
            account=account.name,
            unit=account.unit,
            window=account.window.kind,
            window_s=account.window.nominal_s,
            ends_in_s=ends,
            leased=max(0, held - since - reserved),
            lost=lost,
            version=version,
            breached=self.breached,
            leaving=leaving,
            queries=queries,
            queries_here=self.queries,
            age_s=now - self._answered_at,
            in_hand=self.in_hand(now) if away else None,
            in_hand_s=max(0.0, self.usable_until - now) if away else 0.0,
        )


def micro_units(hands: tuple[Hand, ...], amount: Amount) -> tuple[int, ...]:
    """The amount in the unit of every account."""
    return tuple([hand.measure(amount) for hand in hands])

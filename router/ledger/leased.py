"""The ledger that serves: reserves from what this replica took in advance, exact and without any network.

A request fits when it fits in hand in every account of its branch; then all of them set it aside, else none. Where
the store is in this process (`immediate`), a request that does not fit in hand asks it at once; else `obtain` does, and
`Renewal` (see there) keeps enough in hand that it seldom must.

Not for threads: all calls come from one event loop. `asks` and `hear` come in pairs, one pair at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from router.domain.usage import units
from router.errors import BudgetExceeded, PluginError, StoreError
from router.ledger import ALL, Amount, Balance, Reservation
from router.ledger.accounts import Account, Accounts
from router.ledger.hand import DRIFT, RETRY_S, Hand, micro_units
from router.ledger.requests import Request, Requests
from router.ledger.shared import SharedStore
from router.ledger.state import CLOCK_STEP_S, Answer, Ask

FETCHES = 5  # what was fetched for a request may be taken by those that reserve without waiting
MOST_BRANCHES = 10_000  # tenants whose accounts are known by heart
IDLE_S = 600.0  # a tenant's copy of an account that was not used for so long is given back


@dataclass(frozen=True, slots=True)
class Terms:
    """How a replica deals with the store."""

    request_s: float = 900.0  # a request that is not settled after so long is charged at its worst case
    lease_s: float = 1050.0  # nothing is reserved in the last `request_s` + `CLOCK_STEP_S` of a lease
    horizon_s: float = 36.0  # of spending at the present rate is taken in advance
    allowance: float = 0.0  # share of each limit that may be spent while the store is away; 0: refuse
    remember_s: float = 600.0  # how long a charged request id is known: as long as replies are replayed
    # such ids, 600 bytes each; as many again that were charged when their time was over
    remember_most: int = 20_000


class Leased:
    """The contract of `Ledger`, one replica's part of shared accounts."""

    def __init__(
        self,
        accounts: Accounts,
        store: SharedStore,
        replica: str,
        monotonic_s: Callable[[], float],
        terms: Terms = Terms(),
    ) -> None:
        self.accounts, self.store, self.replica, self.terms = accounts, store, replica, terms
        # set by who renews: one exchange with the store
        self.fetch: Callable[[], Awaitable[None]] | None = None
        # the same: off the event loop
        self.elsewhere: Callable[[Callable[[], int]], Awaitable[int]] | None = None
        self.away = ""  # why the store cannot be reached; "": it can
        self.stands_still = ""  # why nothing leaves the windows for now; "": it does
        self.expired = 0  # requests charged at their worst case because they were not settled in time
        self._clock = monotonic_s
        self._hands: dict[str, Hand] = {}  # by account
        self._branches: dict[str, tuple[Hand, ...]] = {}  # by tenant
        self._requests = Requests(terms.remember_s, terms.remember_most)
        self._sequence = 0
        shortest = min(account.window.nominal_s for account in accounts.by_name.values())
        self.renew_s = min(terms.horizon_s / 3, max(RETRY_S, shortest / 120))  # between two exchanges
        self._exchanged_at = float("-inf")
        for name in accounts.by_name:
            self._hand(accounts.by_name[name])

    # ------------------------------------------------------------------------------------------ reserving, settling

    def reserve(self, request_id: str, amount: Amount, tenant: str = "") -> Reservation:
        now = self._clock()
        self._expire(now)
        known = self._requests.known(request_id)
        if known is not None:
            return known
        _check("reserve", request_id, amount)
        hands = self._branches.get(tenant) or self._branch(tenant)
        needs = micro_units(hands, amount)
        if self.store.immediate and not self.away:
            self._ask_at_once(hands, needs, now)
        for hand, need in zip(hands, needs, strict=True):
            if not hand.fits(need, now):
                raise self._refusal(request_id, hands, needs, now)
        for hand, need in zip(hands, needs, strict=True):
            hand.take(need, now)
        names = tuple([hand.account.name for hand in hands])
        reservation = Reservation(request_id, amount, tenant, names)
        self._requests.open[request_id] = Request(reservation, now + self.terms.request_s, hands, needs)
        return reservation

    async def obtain(self, request_id: str, amount: Amount, tenant: str = "") -> Reservation:
        hands = self._branches.get(tenant) or self._branch(tenant)
        needs = micro_units(hands, amount)
        for turn in range(FETCHES):
            others_wait = not turn and any(hand.waiting for hand in hands)
            try:
                if not others_wait or self.fetch is None or self.away:
                    return self.reserve(request_id, amount, tenant)
            except BudgetExceeded:
                if self.fetch is None or self.away or not self._might_fit(amount, tenant):
                    raise
            for hand, need in zip(hands, needs, strict=True):
                hand.waiting += need
            try:
                await self.fetch()
            finally:
                for hand, need in zip(hands, needs, strict=True):
                    hand.waiting -= need
        return self.reserve(request_id, amount, tenant)

    def settle(self, reservation: Reservation, used: Amount) -> Amount:
        _check("settle", reservation.request_id, used)
        now = self._clock()
        entry = self._requests.open.pop(reservation.request_id, None)
        if entry is None:
            charged = self._requests.charged(reservation.request_id)
            return used if charged is None else charged
        self._charge(entry, used, now, lapsed=False)
        if self.store.immediate and now >= self._exchanged_at + self.renew_s:
            self.exchange()
        return used

    def now(self) -> float:
        """The clock that leases are measured by: monotonic."""
        return self._clock()

    def expire(self) -> None:
        """Charge what was not settled within its time at its worst case."""
        self._expire(self._clock())

    # ---------------------------------------------------------------------------------------------------- looking

    def left(self, tenant: str = "") -> int | None:
        return self.tightest(tenant)[0]

    def tightest(self, tenant: str = "") -> tuple[int | None, str]:
        now, least, account = self._clock(), None, ALL
        for hand in self._branches.get(tenant) or self._branch(tenant):
            if hand.unlimited:
                continue
            left = hand.dollars(hand.in_hand(now) + (0 if self.away else hand.available(now)))
            if left is not None and (least is None or left < least):
                least, account = left, hand.account.name
        return least, account

    def balance(self, account: str = ALL) -> Balance:
        return self._hand(self.accounts.named(account)).balance(self._clock(), away=bool(self.away))

    def balances(self) -> tuple[Balance, ...]:
        """Of all accounts that are configured or in use here, by name."""
        now = self._clock()
        return tuple(self._hands[name].balance(now, away=bool(self.away)) for name in sorted(self._hands))

    def wait_s(self, amount: Amount, tenant: str = "") -> float | None:
        if self.store.immediate and not self.away:
            self.exchange()
        hands = self._branches.get(tenant) or self._branch(tenant)
        return self._wait_s(hands, micro_units(hands, amount), self._clock())

    async def set_limit(self, account: str, limit: int | None) -> Balance:
        """As `Ledger.set_limit`; other replicas hear of it within `RETRY_S`."""
        found = self.accounts.named(account)
        self._hand(found)
        await self._elsewhere(lambda: self.store.set_limit(found, limit))
        await self._exchange_now()
        return self.balance(account)

    @property
    def troubles(self) -> tuple[str, ...]:
        told = (
            (self.away, f"the store of budgets is away: {self.away}"),
            (self.stands_still, self.stands_still),
            (self.breaches, f"{self.breaches} requests used more than was reserved for them"),
            (self.expired, f"{self.expired} requests were charged at their worst case: not settled in time"),
        )
        return tuple(text for there, text in told if there)

    @property
    def breaches(self) -> int:
        """Settlements above their reservation, since the start."""
        return max((hand.breaches for hand in self._hands.values()), default=0)

    @property
    def in_flight(self) -> int:
        """Requests that are reserved and not settled."""
        return len(self._requests.open)

    # ------------------------------------------------------------------------------------------- with the store

    def asks(self, *, leave: bool = False) -> tuple[Ask, ...]:
        """What to tell the store about every account, and to want of it; what is too much is given back with it."""
        now, terms = self._clock(), self.terms
        self._expire(now)
        self._sequence += 1
        asks = []
        for name, hand in self._hands.items():
            idle = name not in self.accounts.by_name and hand.used_at < now - IDLE_S and not hand.in_use
            asks.append(hand.ask(self._sequence, terms.lease_s, terms.horizon_s, now, leave=leave or idle))
        return tuple(asks)

    def hear(self, asks: Sequence[Ask], answers: Sequence[Answer], asked_at: float) -> bool:
        """Take in the store's answers; `asked_at`: the monotonic time before they were asked for.

        True: another exchange should follow at once, because a limit was lowered and money is to be given back.
        """
        now, terms = self._clock(), self.terms
        self._exchanged_at = asked_at
        usable_until = asked_at + terms.lease_s * (1 - DRIFT) - terms.request_s - CLOCK_STEP_S
        self.away, again = "", False
        self.stands_still = max((answer.stands_still for answer in answers), default="")
        for ask, answer in zip(asks, answers, strict=True):
            hand = self._hands[ask.account]
            again = hand.hear(ask, answer, usable_until if not ask.leave else float("-inf"), now) or again
            if ask.leave and ask.account not in self.accounts.by_name:
                if hand.in_use or hand.spent != ask.spent:  # somebody came meanwhile
                    hand.begin_anew(ask)
                else:
                    self._forget(hand)
        return again

    def lost_store(self, why: str) -> None:
        """The store could not be asked: what is in hand may be spent, then the stated allowance."""
        if not self.away and self.terms.allowance:
            for hand in self._hands.values():
                hand.credit = int((hand.limit or 0) * self.terms.allowance)
        self.away = why

    def exchange(self) -> None:
        """One exchange with the store, here and now; a second one where a limit was lowered. Raises `StoreError`."""
        for _ in range(2):
            asked_at = self._clock()
            asks = self.asks()
            if not self.hear(asks, self.store.sync(self.replica, asks), asked_at):
                return

    def leave(self) -> None:
        """Give everything back and close the store; for a replica that never served. Raises nothing."""
        with suppress(StoreError):
            self.store.sync(self.replica, self.asks(leave=True))
        self.store.close()

    # --------------------------------------------------------------------------------------------------- inside

    async def _elsewhere(self, call: Callable[[], int]) -> None:
        if self.elsewhere is None:
            call()
        else:
            await self.elsewhere(call)

    async def _exchange_now(self) -> None:
        if self.fetch is None:
            self.exchange()
        else:
            await self.fetch()

    def _expire(self, now: float) -> None:
        for request in self._requests.over(now):
            self.expired += 1
            self._charge(request, request.reservation.amount, now, lapsed=True)

    def _charge(self, request: Request, used: Amount, now: float, *, lapsed: bool) -> None:
        request.charge(used)
        self._requests.remember(request, used, now, lapsed=lapsed)

    def _ask_at_once(self, hands: tuple[Hand, ...], needs: tuple[int, ...], now: float) -> None:
        """An exchange where it costs no waiting: when one is due, or the request does not fit and may then."""
        short = not all(hand.fits(need, now) for hand, need in zip(hands, needs, strict=True))
        if not short and now < self._exchanged_at + self.renew_s:
            return
        for hand, need in zip(hands, needs, strict=True):
            hand.waiting += need
        try:
            self.exchange()
        finally:
            for hand, need in zip(hands, needs, strict=True):
                hand.waiting -= need

    def _might_fit(self, amount: Amount, tenant: str) -> bool:
        """Whether the store may have what is missing here: else asking it for every refusal would be a flood."""
        now = self._clock()
        hands = self._branches.get(tenant) or self._branch(tenant)
        return all(
            hand.may_get(need, now) for hand, need in zip(hands, micro_units(hands, amount), strict=True)
        )

    def _wait_s(self, hands: tuple[Hand, ...], needs: tuple[int, ...], now: float) -> float | None:
        longest = 0.0
        for hand, need in zip(hands, needs, strict=True):
            wait = hand.wait_s(need, now)
            if wait is None:
                return None
            longest = max(longest, wait)
        return longest

    def _refusal(
        self, request_id: str, hands: tuple[Hand, ...], needs: tuple[int, ...], now: float
    ) -> BudgetExceeded:
        hand, need = next(
            (hand, need) for hand, need in zip(hands, needs, strict=True) if not hand.fits(need, now)
        )
        limit, account = hand.limit, hand.account
        in_hand = max(0, hand.free) if now < hand.usable_until else 0
        text = (
            f"budget {account.name!r}: request {request_id!r} may cost {units(need)} {account.unit}, "
            f"{units(in_hand + hand.available(now))} of {units(limit or 0)} are left"
        )
        if self.away:
            return BudgetExceeded(f"{text}; the store of budgets is away: {self.away}", retry_after_s=1.0)
        if limit is not None and need > limit:
            return BudgetExceeded(f"{text}: more than the whole budget")
        return BudgetExceeded(text, retry_after_s=self._wait_s(hands, needs, now) or 1.0)

    def _branch(self, tenant: str) -> tuple[Hand, ...]:
        hands = tuple(self._hand(account) for account in self.accounts.chain(tenant))
        if len(self._branches) >= MOST_BRANCHES:
            self._branches.clear()
        self._branches[tenant] = hands
        return hands

    def _hand(self, account: Account) -> Hand:
        hand = self._hands.get(account.name)
        if hand is None:
            hand = self._hands[account.name] = Hand(account, self._clock())
        return hand

    def _forget(self, hand: Hand) -> None:
        del self._hands[hand.account.name]
        self._branches = {tenant: branch for tenant, branch in self._branches.items() if hand not in branch}


def _check(what: str, request_id: str, amount: Amount) -> None:
    for value in (amount.micros, amount.tokens, amount.gpu_micros):
        if type(value) is not int or value < 0:
            raise PluginError(
                f"ledger: {what} {value!r} for request {request_id!r}: whole micro-units >= 0 are expected"
            )

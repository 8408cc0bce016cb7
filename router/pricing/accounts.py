"""The prices of all accounts, and what a query pays: the highest price of its branch.

The duals of a branch add up, but an account's own is what it needs beyond those above it: with P the price at which
everybody's spending fits above, a tenant pays P where that is enough for its own account, else the price at which its
own spending fits. That is the higher of the two, each found by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router.domain.choice import Forecast
from router.ledger import ALL, Amount, Balance, Ledger
from router.ledger.accounts import GPU_SECONDS, TOKENS, Account, Accounts
from router.pricing.demand import Profile
from router.pricing.hours import NO_QUERIES, Typical, hour_mix
from router.pricing.offers import offer_of_forecasts
from router.pricing.price import AccountPrice

UPDATES = 1000  # of a price in a window,
SOONEST_S, LATEST_S = 0.05, 5.0  # but never sooner or later than these, while there are queries
MOST = 4096  # tenants whose branches are known: they may come and go


class Prices:
    """Of one replica. Everything but `price` is called when a query is over."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        wall_s: Callable[[], float],
        *,
        hours: Sequence[float] = (),  # share of a day's queries in each UTC hour; none: as typical ones came
        typical: Typical = NO_QUERIES,  # until there are others; their hours say what will change
        urgent_share: float = 0.0,  # of each limit, kept for urgent queries, [0, 1]
    ) -> None:
        self._accounts, self._ledger, self._wall_s = accounts, ledger, wall_s
        self._hours, self.urgent_share = tuple(hours), urgent_share
        self._take(typical)
        self._by_account: dict[str, AccountPrice] = {}
        self._branches: dict[str, tuple[AccountPrice, ...]] = {}  # by tenant
        self._named: dict[str, tuple[Account, ...]] = {}  # by tenant

    def price(self, tenant: str = "") -> float:
        """Quality per dollar for a query of the tenant, >= 0. Raises `UnknownName` where the ledger would."""
        branch = self._branches.get(tenant) or self._branch(tenant)
        return max([account.price for account in branch])

    def expect(self, typical: Typical) -> None:
        """Other typical queries, for accounts of which none was seen yet; what their hours say is for all."""
        self._take(typical)
        now = self._wall_s()
        for account in self._by_account.values():
            account.expect(self._profile, self._mix, now)

    def price_of(self, account: str = ALL) -> float:
        """Of one account by itself; 0 where it has no limit or no queries."""
        found = self._by_account.get(account)
        return 0.0 if found is None else found.price

    def ended(
        self,
        tenant: str,
        forecasts: Sequence[Forecast],
        *,
        price: float,  # without the caller's weight
        weight: float,
        latency_price: float,
        taken: Forecast | None,  # what was taken whatever the price; None: the price decided
        reserved: Amount,
        used: Amount | None,  # None: not known yet
    ) -> None:
        """A query was decided, and paid where `used` is given."""
        branch = self._branches.get(tenant) or self._branch(tenant)
        if any(one.limited for one in branch):
            offer = offer_of_forecasts(forecasts, weight, latency_price, taken)
            for account in branch:
                account.seen(offer)
                if used is not None:
                    account.paid(offer, price, reserved, used)
        self._update(tenant)

    def refused(self, tenant: str) -> None:
        """A query could not be paid."""
        for account in self._branches.get(tenant) or self._branch(tenant):
            account.refused()
        self._update(tenant)

    def kept_back(self, tenant: str) -> int:
        """Micro-dollars of what is left that only urgent queries may reserve; it is let go as a window passes."""
        if not self.urgent_share:
            return 0
        branch, kept = self._branches.get(tenant) or self._branch(tenant), 0
        for account, one in zip(self._named[tenant], branch, strict=True):
            balance = one.balance
            if balance is None or balance.limit is None or account.unit in {TOKENS, GPU_SECONDS}:
                continue
            kept = max(
                kept, int(self.urgent_share * balance.limit * _rest(balance) * account.dollars_per_unit)
            )
        return kept

    def _take(self, typical: Typical) -> None:
        self._typical, self._mix = typical, hour_mix(typical)
        self._profile = Profile(self._hours or typical.busy)

    def _update(self, tenant: str) -> None:
        now = self._wall_s()
        for account, one in zip(self._named[tenant], self._branches[tenant], strict=True):
            every = min(LATEST_S, max(SOONEST_S, account.window.nominal_s / UPDATES))
            if not 0 <= now - one.updated_at < every:
                one.update(self._ledger.balance(account.name), now)

    def _branch(self, tenant: str) -> tuple[AccountPrice, ...]:
        if len(self._branches) >= MOST:  # accounts of one tenant each go, those of the configuration stay
            kept = self._accounts.by_name
            self._by_account = {name: one for name, one in self._by_account.items() if name in kept}
            self._branches.clear()
            self._named.clear()
        named = self._accounts.chain(tenant)
        now, found = self._wall_s(), []
        for account in named:
            one = self._by_account.get(account.name)
            if one is None:
                one = AccountPrice(account, self._profile, self._typical, now, self._mix)
                self._by_account[account.name] = one
            found.append(one)
        self._named[tenant], self._branches[tenant] = named, tuple(found)
        return self._branches[tenant]


def _rest(balance: Balance) -> float:
    """The part of a calendar window that is still to come; 1 for a rolling one."""
    if balance.ends_in_s is None or balance.window_s <= 0:
        return 1.0
    return min(1.0, max(0.0, balance.ends_in_s / balance.window_s))

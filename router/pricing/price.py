"""The price of one account: the model's price for the pace, corrected by what was really spent.

Two ratios are measured from settlements, as decaying sums over some 2,000 queries: what was charged over what the model
expected at the price that was paid (exploration, failovers and forecasts that are off are in it), and what was
charged over what was reserved (so that the worst case of what is in flight is not taken for its cost).
Fails where the plans' qualities are not known: then no price changes anything, and it stays 0.
"""

from __future__ import annotations

import math

from router.ledger import Amount, Balance
from router.ledger.accounts import GPU_SECONDS, TOKENS, Account
from router.pricing.curve import Curve
from router.pricing.demand import Demand, Profile
from router.pricing.hours import Change, HourMix, Typical, hour_of
from router.pricing.offers import Lately, Offer
from router.pricing.pace import units_per_query

DOUBT = 0.2  # standard deviation of what a window's queries will want above the cheapest plans, over what it is now
LATELY = 512  # queries that stand for those to come
KEEP = 1 - 1 / 2000  # of sums over queries, with each further one
BELIEF = 50  # queries' worth of forecasts that are taken to be right before anything was charged
SMOOTHED = 1 / 200  # of a window: over so long a price follows the model's
SHARE_MEMORY = 0.1  # of a window
MOST_BIAS = 4.0  # forecasts are off by less; more is chance
LEAST_SHARE = 0.01  # of an account's queries that one replica is taken to see


class AccountPrice:
    """Quality per dollar, >= 0, for one account. Times are seconds since the epoch."""

    def __init__(
        self,
        account: Account,
        profile: Profile,
        typical: Typical,
        now: float,
        mix: HourMix | None = None,  # what queries of each hour spend; None: not known
    ) -> None:
        self.price = 0.0
        self.updated_at = -math.inf
        self._measure = account.measure()
        self._window_s = account.window.nominal_s
        counted = account.unit in {TOKENS, GPU_SECONDS}
        self._dollars = 0.0 if counted else account.dollars_per_unit  # per unit; 0: not known yet
        self._counted = counted
        self._demand = Demand(self._window_s, profile, now)
        self._offers = Lately(LATELY, typical.offers, typical.hours)
        self._hour = hour_of(now)
        self._seen = self._expected = self._charged = 0.0  # queries, micro-dollars; decayed
        self._used = self._squares = self._reserved = 0.0  # micro-units, decayed
        self._mine = self._all = 0.0  # queries here and everywhere, decayed
        self._looked: Balance | None = None
        self._began = self._looked_at = now
        self.limited = account.limit is not None
        self.balance: Balance | None = None  # as it was at the last update
        self._change: Change | None = None
        self.expect(profile, mix, now)

    def expect(self, profile: Profile, mix: HourMix | None, now: float) -> None:
        """How busy hours are and what their queries spend, from now on."""
        self._demand.profile = profile
        self._change = None if mix is None else Change(mix, profile, self._window_s, now)

    def seen(self, offer: Offer) -> None:
        """A query was decided."""
        self._demand.note()
        self._offers.add(offer, self._hour)
        if self._change is not None:
            self._change.note(offer)

    def paid(self, offer: Offer, price: float, reserved: Amount, used: Amount) -> None:
        """It was paid: what it offered, the price it was decided at, what was set aside and taken."""
        units = self._measure(used)
        self._seen = self._seen * KEEP + 1
        self._expected = self._expected * KEEP + offer.cost_at(price)
        self._charged = self._charged * KEEP + used.micros
        self._used = self._used * KEEP + units
        self._squares = self._squares * KEEP + units * units
        self._reserved = self._reserved * KEEP + self._measure(reserved)

    def refused(self) -> None:
        """A query could not be paid: it is part of the demand."""
        self._demand.note()

    def update(self, balance: Balance, now: float) -> None:
        """The price from now on."""
        self._demand.advance(now)
        self._hour = hour_of(now)
        self._look(balance, now)
        if balance.limit is None:
            self.price = 0.0
        elif self._charged or not self._counted:
            self._follow(self._wanted(balance, self._changes(balance, now)), balance, now)
        self.balance, self.updated_at, self.limited = balance, now, balance.limit is not None

    def _changes(self, balance: Balance, now: float) -> Curve | None:
        """In a rolling window money comes back as it was spent, hour by hour: there only what is seen lately counts."""
        if self._change is None or balance.ends_in_s is None:
            return None
        self._change.look(self.price, now)
        return self._change.until(now + balance.ends_in_s, self._offers.by_hour)

    def _wanted(self, balance: Balance, change: Curve | None) -> float:
        in_use = balance.reserved * min(1.0, self._used / self._reserved if self._reserved else 1.0)
        dollars = self._charged / self._used if self._counted else self._dollars
        expected = dollars / self._bias  # micro-dollars of the forecasts for a micro-unit
        to_come = self._offers if change is None else self._offers.curve().plus(change)
        least = to_come.least / expected
        units = units_per_query(balance, in_use, self._demand, self._share, self._scatter, least)
        if balance.in_hand is not None:  # until the store is back, or this replica's lease ends
            lasting = max(balance.in_hand_s, balance.age_s)
            units = min(units, balance.in_hand / max(1.0, self._demand.ahead(lasting)[0]))
        return to_come.mean_price_for(
            units * expected, self._doubt(balance) * max(0.0, units - least) * expected
        )

    def _doubt(self, balance: Balance) -> float:
        """Standard deviation of what is to come, over what is expected; see `DOUBT`.

        What money is worth later is not known, and the price is convex in the pace: its mean lies above the price at
        the mean pace. The doubt ends with the window; a rolling one loses nothing by waiting. Of several replicas each
        guesses for itself, from its share of the queries: their prices already scatter so much the more.
        """
        if balance.ends_in_s is None:
            return 0.0
        rest = min(1.0, max(0.0, balance.ends_in_s / self._window_s))
        return DOUBT * math.sqrt(rest * self._share)

    def _follow(self, wanted: float, balance: Balance, now: float) -> None:
        before = self.balance
        anew = (
            before is None
            or before.limit != balance.limit
            or (before.in_hand is None) != (balance.in_hand is None)
            or (balance.ends_in_s or 0.0) > (before.ends_in_s or 0.0)
            or now - self._began < SMOOTHED * self._window_s  # the first guesses are no habit to keep
        )
        part = 1.0 if anew else 1 - math.exp(-(now - self.updated_at) / (SMOOTHED * self._window_s))
        self.price += part * (wanted - self.price)

    def _look(self, balance: Balance, now: float) -> None:
        """Whose queries they were, whenever there is news of the other replicas."""
        if self._looked is not None and balance.age_s > now - self.updated_at:
            return
        if self._looked is not None:
            passed = now - self._looked_at
            keep = math.exp(-passed / (SHARE_MEMORY * self._window_s))
            self._mine = self._mine * keep + balance.queries_here - self._looked.queries_here
            self._all = self._all * keep + balance.queries - self._looked.queries
        self._looked, self._looked_at = balance, now

    @property
    def _share(self) -> float:
        return min(1.0, max(LEAST_SHARE, self._mine / self._all)) if self._mine > 0 < self._all else 1.0

    @property
    def _scatter(self) -> float:
        """Of what queries take: variance over the square of the mean."""
        return max(0.0, self._seen * self._squares / self._used**2 - 1) if self._used else 0.0

    @property
    def _bias(self) -> float:
        """Charged over expected, with a belief in the forecasts that wears off."""
        if not self._expected:
            return 1.0
        believed = BELIEF * self._expected / self._seen
        return min(MOST_BIAS, max(1 / MOST_BIAS, (self._charged + believed) / (self._expected + believed)))

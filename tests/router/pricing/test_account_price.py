"""The price of one account in a made world: it meets the pace, does not swing, and follows the limit."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

import pytest

from router.ledger import ALL, Amount, Balance
from router.ledger.accounts import TOKENS, Account
from router.ledger.window import Window
from router.pricing.demand import Demand, Profile, hourly_shares
from router.pricing.hours import NO_QUERIES, Typical
from router.pricing.offers import Offer, offer_of
from router.pricing.price import DOUBT, AccountPrice

HOUR = 3600.0
QUERIES = 4000


@dataclass
class Bank:
    """An account of one hour, kept by hand."""

    limit: int
    spent: int = 0
    queries: int = 0
    gain: float = 1.0  # of quality, by the dear plan
    bias: float = 1.0  # charged over expected
    power: int = 1  # of an even worth: the higher, the fewer queries gain much
    replicas: int = 1  # that see as many queries each
    account: Account = field(default_factory=lambda: Account(ALL, 1, Window("hour"), within=""))
    trace: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.price = AccountPrice(self.account, Profile(), NO_QUERIES, 0.0)
        self.rng = random.Random(5)

    def balance(self, now: float) -> Balance:
        return Balance(
            self.limit,
            self.spent,
            0,
            window_s=HOUR,
            ends_in_s=HOUR - now,
            queries=self.queries * self.replicas,
            queries_here=self.queries,
        )

    def ask(self, now: float) -> None:
        """A query that costs 100, or 1,000 where that is worth it."""
        worth = self.gain * self.rng.random() ** self.power
        offer = offer_of([(100.0, 0.0), (1000.0, worth)])
        price = self.price.price
        cost = int(self.bias * offer.cost_at(price))
        self.queries += 1
        if self.spent + cost <= self.limit:
            self.spent += cost
            self.price.seen(offer)
            self.price.paid(offer, price, Amount(4 * cost), Amount(cost))
        else:
            self.price.refused()
        self.price.update(self.balance(now), now)
        self.trace.append((now, self.price.price))

    def run(self, start: float = 0.0, end: float = HOUR, times: list[float] | None = None) -> None:
        for now in times or [
            start + (end - start) * (at + 0.5) / count
            for count in [round(QUERIES * (end - start) / HOUR)]
            for at in range(count)
        ]:
            self.ask(now)

    def prices(self, start: float, end: float) -> list[float]:
        return [price for at, price in self.trace if start <= at < end]


def truth(mean: float, gain: float = 1.0, power: int = 1, doubt: float = 0.0) -> float:
    """The price at which a query costs `mean` on average: steps are worth [0, gain / $.0009], evenly for power 1.

    With a doubt about what is spent above 100: the mean of that price, for powers up to 3.
    """
    bought = (mean - 100) / 900
    curve = (1 - bought) ** power + math.comb(power, 2) * (1 - bought) ** (power - 2) * (doubt * bought) ** 2
    return float(gain * curve / 900e-6)


@pytest.mark.parametrize("mean", [200, 400, 700])
def test_it_finds_the_price_that_makes_the_money_last(mean):
    bank = Bank(mean * QUERIES)
    bank.run()
    late = bank.prices(0.2 * HOUR, 0.9 * HOUR)
    assert sum(late) / len(late) == pytest.approx(truth(mean), rel=0.07)
    assert bank.spent / bank.limit > 0.985


def test_forecasts_that_are_half_of_what_is_charged_are_found_out():
    bank = Bank(400 * QUERIES, bias=2.0)
    bank.run()
    late = bank.prices(0.3 * HOUR, 0.9 * HOUR)
    assert sum(late) / len(late) == pytest.approx(truth(200), rel=0.07)


def test_a_budget_that_is_lowered_raises_the_price_and_nothing_swings():
    bank = Bank(700 * QUERIES)
    bank.run(0, HOUR / 2)
    before = bank.prices(0.4 * HOUR, 0.5 * HOUR)[-1]
    left = bank.limit - bank.spent
    bank.limit = bank.spent + left // 2
    bank.run(HOUR / 2, 0.95 * HOUR)
    after = bank.prices(0.52 * HOUR, 0.9 * HOUR)
    assert before < 0.7 * min(after)
    assert max(after) - min(after) < 0.35 * truth(350)


def test_a_budget_that_is_raised_lowers_the_price_at_once():
    bank = Bank(300 * QUERIES)
    bank.run(0, HOUR / 2)
    bank.limit += 300 * QUERIES // 2
    bank.run(HOUR / 2, 0.52 * HOUR)
    assert bank.trace[-1][1] == pytest.approx(truth(600), rel=0.2)


def test_a_step_in_what_help_is_worth_is_followed_without_overshoot():
    bank = Bank(400 * QUERIES)
    bank.run(0, HOUR / 2)
    bank.gain = 2.0
    bank.run(HOUR / 2, 0.95 * HOUR)
    assert max(bank.prices(HOUR / 2, 0.95 * HOUR)) < 1.2 * truth(400, 2.0)
    settled = bank.prices(0.75 * HOUR, 0.9 * HOUR)
    assert sum(settled) / len(settled) == pytest.approx(truth(400, 2.0), rel=0.15)


def test_a_burst_moves_the_price_less_than_the_traffic():
    bank = Bank(400 * QUERIES)
    calm = [HOUR * (at + 0.5) / QUERIES for at in range(QUERIES)]
    burst = [HOUR / 2 + at * 0.1 for at in range(400)]  # ten times as dense, for 40 s
    bank.run(times=sorted([*calm, *burst]))
    before = bank.prices(0.45 * HOUR, 0.5 * HOUR)
    after = bank.prices(0.5 * HOUR, 0.55 * HOUR)
    assert max(after) < 1.35 * (sum(before) / len(before))
    assert bank.spent <= bank.limit


def test_where_more_compute_gains_nothing_nothing_is_spent_on_it():
    bank = Bank(900 * QUERIES, gain=0.0)
    bank.run()
    assert bank.spent == 100 * QUERIES


def test_money_that_is_enough_for_everything_costs_nothing():
    bank = Bank(1200 * QUERIES)
    bank.run()
    assert max(bank.prices(0.05 * HOUR, HOUR)) == 0.0


def test_without_a_limit_there_is_no_price():
    price = AccountPrice(Account(ALL, None, within=""), Profile(), Typical((Offer(1.0, ((5.0, 2.0),)),)), 0.0)
    price.update(Balance(None, 10**9, 0), 1.0)
    assert price.price == 0.0


def test_tokens_have_a_price_once_it_is_known_what_they_cost():
    account = Account("words", 1, Window("hour"), unit=TOKENS)
    price = AccountPrice(account, Profile(), NO_QUERIES, 0.0)
    offer = offer_of([(100.0, 0.0), (1000.0, 0.9)])
    state = Balance(10**9, 0, 0, window_s=HOUR, ends_in_s=HOUR)
    price.update(state, 1.0)
    assert price.price == 0.0
    for at in range(200):
        price.seen(offer)
        price.paid(offer, 0.0, Amount(2000, 20), Amount(1000, 10))
        price.update(state, 2.0 + at)
    # 1,000 tokens for an hour: only the cheapest fit
    assert price.price == pytest.approx(0.9 / 900e-6, rel=1e-3)


def test_while_the_store_is_away_what_is_in_hand_is_made_to_last():
    bank = Bank(700 * QUERIES)
    bank.run(0, HOUR / 2)
    now, before = HOUR / 2, bank.price.price
    calm = bank.balance(now + 1)
    # 300 s at QUERIES an hour: money for 250 each
    away = replace(calm, in_hand=round(250 * QUERIES / 12), in_hand_s=300.0)
    bank.price.update(away, now + 1)
    assert bank.price.price == pytest.approx(truth(250), rel=0.15)
    bank.price.update(replace(calm, in_hand=10**9, in_hand_s=300.0), now + 2)
    bank.price.update(calm, now + 3)
    assert bank.price.price == pytest.approx(before, rel=0.1)


@pytest.mark.parametrize("replicas", [1, 4])
def test_early_in_a_window_money_is_worth_what_it_may_turn_out_to_be_worth(replicas):
    bank = Bank(700 * QUERIES * replicas, replicas=replicas)
    typical = [offer_of([(100.0, 0.0), (1000.0, ((at + 0.5) / 500) ** 3)]) for at in range(500)]
    price = AccountPrice(bank.account, Profile(), Typical(tuple(typical)), 0.0)
    for at in range(400):  # of 4,000 here; the pace was kept
        now = at * HOUR / QUERIES
        price.refused()
        bank.queries += 1
        price.update(replace(bank.balance(now), spent=700 * at * replicas), now)
    rest = 0.9
    apart = 1 / math.sqrt(rest * QUERIES * replicas)  # a deviation fewer queries are planned for
    mean = 100 + (600 - 200 * apart) / (1 - apart)  # and the cheapest plans for two more
    even = truth(mean, power=3)
    expected = truth(mean, power=3, doubt=DOUBT * math.sqrt(rest / replicas))
    assert expected > (1 + 0.3 / replicas) * even
    assert price.price == pytest.approx(expected, rel=0.02)


def test_the_price_of_a_new_process_is_not_held_up_by_its_first_guess():
    bank = Bank(300 * QUERIES)
    bank.run(0, HOUR / 100)
    early = bank.prices(HOUR / 300, HOUR / 100)
    assert sum(early) / len(early) > 0.8 * truth(300)


def test_a_rolling_window_keeps_its_pace():
    account = Account(ALL, 1, Window("rolling", HOUR), within="")
    price = AccountPrice(account, Profile(), NO_QUERIES, 0.0)
    rng, trace, booked = random.Random(2), [], [0] * 64  # by slices of the hour, the oldest first
    limit = 400 * QUERIES
    for at in range(2 * QUERIES):
        now = at * HOUR / QUERIES
        if at % (QUERIES // 64) == 0:
            booked = [*booked[1:], 0]
        offer = offer_of([(100.0, 0.0), (1000.0, rng.random())])
        cost = int(offer.cost_at(price.price))
        if sum(booked) + cost <= limit:
            booked[-1] += cost
            price.seen(offer)
            price.paid(offer, price.price, Amount(cost), Amount(cost))
        if at % 4 == 0:
            leaving = tuple(((slot + 1) * HOUR / 64, cost) for slot, cost in enumerate(booked))
            state = Balance(limit, sum(booked), 0, window_s=HOUR, leaving=leaving)
            price.update(state, now)
        trace.append(price.price)
    assert sum(booked) > 0.9 * limit
    late = trace[QUERIES:]
    assert sum(late) / len(late) == pytest.approx(truth(400), rel=0.12)


def test_a_day_with_a_night_is_expected_as_the_log_shows_it():
    rng = random.Random(1)
    times = [rng.choice((9, 10, 11)) * HOUR + rng.random() * HOUR for _ in range(3000)]
    demand = Demand(24 * HOUR, Profile(hourly_shares(times)), 0.0)
    for at in sorted(times)[:1000]:
        demand.note()
        demand.advance(at)
    expected, _ = demand.ahead(24 * HOUR - max(sorted(times)[:1000]))
    assert expected == pytest.approx(2000, rel=0.25)


def test_hours_that_were_not_seen_are_not_expected_to_stay_empty():
    shares = hourly_shares([0.0] * 100)
    assert math.fsum(shares) == pytest.approx(1.0)
    assert min(shares) > 0

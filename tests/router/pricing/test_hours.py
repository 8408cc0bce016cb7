"""What changes over a day: worked out from the hours of typical queries, and believed as far as the day is like them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from router.domain.choice import Forecast
from router.domain.plan import Plan
from router.ledger import ALL, Amount, Balance
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.window import Window
from router.pricing.accounts import Prices
from router.pricing.curve import Curve
from router.pricing.demand import HOUR_S, HOURS, Profile
from router.pricing.hours import SHRUNK, Change, HourMix, Typical, hour_mix
from router.pricing.offers import Lately, Offer, offer_of
from router.pricing.price import AccountPrice

DAY_S = HOURS * HOUR_S
EASY = offer_of([(100.0, 0.5), (1000.0, 0.5009)])  # one step: .0009 for 900 micro-dollars, worth 1
PER_HOUR = 40


def step(worth: float, more: float = 900.0) -> Offer:
    return Offer(100.0, ((worth, more),))


def only(hour: int) -> list[int]:
    return [100 * (hour == one) for one in range(HOURS)]


def day(rng: random.Random) -> tuple[list[Offer], list[int]]:
    """In the first half of the day steps are worth [0, 1], in the second [1, 2]."""
    offers, hours = [], []
    for hour in range(HOURS):
        for _ in range(PER_HOUR):
            offers.append(step(rng.random() + (hour >= HOURS // 2)))
            hours.append(hour)
    return offers, hours


def mix_of() -> HourMix:
    offers, hours = day(random.Random(1))
    found = hour_mix(Typical(tuple(offers), tuple(hours)))
    assert found is not None
    return found


@pytest.mark.parametrize("shares", [(), tuple(range(1, HOURS + 1))])
@pytest.mark.parametrize(
    ("start", "end"),
    [(0.0, DAY_S), (5.5 * HOUR_S, 5.75 * HOUR_S), (30000.0, 30000.0 + 40 * DAY_S), (7e4, 9e4)],
)
def test_the_hours_of_a_time_add_up_to_it(shares, start, end):
    profile = Profile(shares)
    assert sum(profile.by_hour(start, end)) == pytest.approx(profile.between(start, end), rel=1e-9)


def test_half_an_hour_is_of_the_hours_it_is_in():
    found = Profile().by_hour(DAY_S - 600.0, DAY_S + 1200.0)
    assert (
        found[23] == pytest.approx(600.0)
        and found[0] == pytest.approx(1200.0)
        and sum(found) == pytest.approx(1800.0)
    )


def test_a_curve_finds_the_prices_that_the_offers_find():
    rng = random.Random(3)
    lately = Lately(
        64, [offer_of([(10 * rng.random(), 0.1), (50.0, rng.random()), (200.0, 1.0)]) for _ in range(64)]
    )
    curve = lately.curve()
    assert curve.least == pytest.approx(lately.least)
    for mean in (0.0, 5.0, 20.0, 60.0, 150.0, 500.0):
        for deviation in (0.0, 15.0):
            assert curve.mean_price_for(mean, deviation) == pytest.approx(
                lately.mean_price_for(mean, deviation)
            )


def test_two_curves_add_up_at_every_price():
    one = Curve(np.array([3.0, 1.0]), np.array([1.0, 11.0, 31.0]))
    other = Curve(np.array([2.0, 1.0]), np.array([0.5, 4.5, 5.5]))
    both = one.plus(other)
    assert both.worth.tolist() == [3.0, 2.0, 1.0, 1.0]
    assert both.cost.tolist() == [1.5, 11.5, 15.5, 36.5, 36.5]


def test_offers_without_any_step_are_a_curve_too():
    flat = Lately(4, [Offer(7.0)]).curve()
    assert flat.least == 7.0 and flat.mean_price_for(3.0, 1.0) == 0.0


def test_an_hour_with_few_queries_is_mostly_the_whole_day():
    offers = (*[step(1.0, 0.0)] * 99, step(1.0, 1000.0))
    mix = HourMix(Typical(offers, (*[5] * 99, 7)))
    spent = mix.spent_at(0.0)
    assert spent[7] == pytest.approx(100 + 1000 * (1 + SHRUNK / 100) / (1 + SHRUNK))
    assert spent[11] == pytest.approx(100 + 1000 / 100)  # nothing is known of it by itself


@pytest.mark.parametrize("typical", [Typical((EASY,)), Typical(), Typical((Offer(5.0),), (3,))])
def test_without_hours_or_anything_to_buy_there_is_no_mix(typical):
    assert hour_mix(typical) is None


def test_in_the_morning_more_is_wanted_later_and_in_the_last_hour_nothing_changes():
    change = Change(mix_of(), Profile(), DAY_S, 0.0)
    change.look(1.0, HOUR_S / 2)
    later = change.until(DAY_S, only(0))
    # all of them take all in the end
    assert later is not None and later.cost[-1] == pytest.approx(0.0, abs=1e-6)
    at_one = later.cost[np.searchsorted(-later.worth, -1.0)]
    share = 12 / 23.5 * PER_HOUR / (PER_HOUR + SHRUNK)
    assert at_one == pytest.approx(900 * share, rel=0.02)  # the afternoon buys above 1, the morning nothing
    change.look(1.0, 23.2 * HOUR_S)
    assert change.until(DAY_S, only(23)) is None
    assert change.until(DAY_S, [0] * HOURS) is None  # of when those of late came nothing is known


@pytest.mark.parametrize(("like_the_log", "least", "most"), [(True, 0.9, 1.0), (False, 0.0, 0.1)])
def test_a_day_unlike_the_log_is_found_out_and_one_like_it_believed(like_the_log, least, most):
    rng, change = random.Random(9), Change(mix_of(), Profile(), DAY_S, 0.0)
    for number in range(2000):
        now = number * DAY_S / 4000  # the morning
        change.look(1.0, now)
        change.note(step(rng.random() + (not like_the_log)))
    assert least <= change.belief <= most


def test_a_day_that_is_the_same_all_day_is_found_out():
    rng, change = random.Random(9), Change(mix_of(), Profile(), DAY_S, 0.0)
    for number in range(4000):
        change.look(1.0, number * DAY_S / 4000)
        change.note(step(2 * rng.random()))
    assert change.belief < 0.2


class World:
    """A day of two halves and its account, with the price of one replica."""

    def __init__(self, mix: HourMix | None, limit: int, kind: str = "day") -> None:
        offers, hours = day(random.Random(2))
        account = Account(ALL, limit, Window("day") if kind == "day" else Window("rolling", DAY_S), within="")
        self.limit, self.spent, self.kind = limit, 0, kind
        self.prices: list[float] = []
        self.price = AccountPrice(account, Profile(), Typical(tuple(offers), tuple(hours)), 0.0, mix)

    def run(self, hard_first: bool = False, queries: int = 4800) -> None:
        rng = random.Random(4)
        for number in range(queries):
            now = number * DAY_S / queries
            offer, price = step(rng.random() + ((now >= DAY_S / 2) != hard_first)), self.price.price
            cost = int(offer.cost_at(price))
            if self.spent + cost <= self.limit:
                self.spent += cost
                self.price.seen(offer)
                self.price.paid(offer, price, Amount(cost), Amount(cost))
            ends = DAY_S - now if self.kind == "day" else None
            self.price.update(Balance(self.limit, self.spent, 0, window_s=DAY_S, ends_in_s=ends), now)
            self.prices.append(price)


def worlds(kind: str = "day", hard_first: bool = False) -> tuple[World, World]:
    """Limits that pay for half of the steps: the right price is 1 all day."""
    found = World(mix_of(), 4800 * 550, kind), World(None, 4800 * 550, kind)
    for world in found:
        world.run(hard_first)
    return found


def test_money_is_kept_for_the_hours_in_which_it_is_worth_most():
    with_hours, without = worlds()
    morning = slice(600, 2300)
    assert np.mean(with_hours.prices[morning]) == pytest.approx(1.0, abs=0.2)
    assert np.mean(without.prices[morning]) < 0.6
    assert with_hours.spent > 0.98 * with_hours.limit


def test_a_day_that_turns_out_the_other_way_round_does_little_harm():
    with_hours, without = worlds(hard_first=True)
    assert with_hours.spent > 0.97 * with_hours.limit
    late = slice(600, None)
    assert np.mean(with_hours.prices[late]) == pytest.approx(np.mean(without.prices[late]), rel=0.15)


def test_a_rolling_window_goes_by_what_is_seen_lately():
    with_hours, without = worlds("rolling")
    assert with_hours.prices == without.prices


QUERY = (
    Forecast(Plan("cheap", ()), 0.5, 100.0, 0.0, 200),
    Forecast(Plan("dear", ()), 0.5009, 1000.0, 0.0, 2000),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_another_bundle_tells_living_accounts_of_its_hours():
    """Early in the day: money is dearer where the second half wants most, cheaper where the first does."""
    offers, hours = day(random.Random(2))
    for other_way, more in ((False, True), (True, False)):
        clock = Clock()
        accounts = Accounts([Account(ALL, 480 * 550, Window("day"), within="")])
        ledger = Leased(accounts, Memory(clock), "one", clock)
        prices, found = Prices(accounts, ledger, clock, typical=Typical(tuple(offers))), []
        for number in range(100):  # 480 a day, by 5 o'clock
            clock.now = number * 180.0
            ledger.exchange()
            if number == 50:
                prices.expect(
                    Typical(tuple(offers), tuple((hour + 12 * other_way) % HOURS for hour in hours))
                )
            prices.ended(
                "", QUERY, price=0.0, weight=1.0, latency_price=0.0, taken=None, reserved=Amount(0), used=None
            )
            found.append(prices.price())
        assert (found[52] > 1.05 * found[49]) if more else (found[52] < 0.95 * found[49])

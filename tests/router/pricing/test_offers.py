"""A query's offer says what argmax q - price * cost spends, at every price."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.choice import Forecast, Situation
from router.domain.plan import Plan
from router.policies.utility import best
from router.pricing.offers import Lately, Offer, offer_of, offer_of_forecasts

POINTS = st.lists(
    st.tuples(st.integers(0, 50).map(float), st.integers(0, 20).map(lambda n: n / 20)), min_size=1
)


def forecasts(points: list[tuple[float, float]]) -> tuple[Forecast, ...]:
    return tuple(Forecast(Plan(str(at), ()), quality, cost, 0.0) for at, (cost, quality) in enumerate(points))


@given(POINTS, st.floats(0.0, 1e5), st.sampled_from((0.5, 1.0, 3.0)))
def test_it_costs_what_the_policy_would_spend(points, price, weight):
    plans = forecasts(points)
    chosen = plans[best(Situation(plans, {}, price * weight, 0.0))]
    offer = offer_of(points, weight)
    gaps = [abs(worth - price) <= 1e-9 * max(1.0, price) for worth, _ in offer.steps]
    if not any(gaps):  # at a step's very price rounding decides
        assert offer.cost_at(price) == pytest.approx(chosen.cost)


@given(POINTS)
def test_steps_fall_in_worth_and_cost_something(points):
    steps = offer_of(points).steps
    assert list(steps) == sorted(steps, reverse=True)
    assert all(worth > 0 and more > 0 for worth, more in steps)


def test_a_caller_who_does_not_mind_cost_always_gets_the_best_plan():
    assert offer_of([(1.0, 0.2), (9.0, 0.8)], weight=0.0) == Offer(9.0)


def test_where_the_price_decides_nothing_what_was_taken_counts():
    plans = forecasts([(1.0, 0.2), (9.0, 0.8)])
    assert offer_of_forecasts(plans, 1.0, 0.0, plans[1]) == Offer(9.0)


def test_latency_counts_against_quality():
    slow = Forecast(Plan("slow", ()), 0.9, 9.0, 10.0)
    quick = Forecast(Plan("quick", ()), 0.5, 1.0, 0.0)
    assert offer_of_forecasts((quick, slow), 1.0, 0.1, None).steps == ()


def made_offers(count: int, seed: int) -> list[Offer]:
    rng = random.Random(seed)
    return [
        offer_of([(rng.uniform(1, 5), rng.random() / 2), (rng.uniform(6, 30), rng.random())])
        for _ in range(count)
    ]


@pytest.mark.parametrize("mean", [0.5, 4.0, 8.0, 12.0, 100.0])
def test_the_price_for_a_spending_is_the_lowest_that_keeps_it(mean):
    offers = made_offers(200, 1)
    price = Lately(500, offers).price_for(mean)

    def spent(at: float) -> float:
        return sum(offer.cost_at(at) for offer in offers) / len(offers)

    cheapest = sum(offer.least for offer in offers) / len(offers)
    assert spent(price) <= max(mean, cheapest) + 1e-9
    if price > 0:
        assert spent(price * (1 - 1e-9)) > mean


def cubic_offers(count: int = 4000) -> list[Offer]:
    """Worth 1e6 u**3 quality per dollar, u even in [0, 1], of 100 micro-dollars beyond 10: the price of a spending
    of 10 + 100 x is 1e6 (1 - x)**3."""
    return [offer_of([(10.0, 0.0), (110.0, 100 * ((at + 0.5) / count) ** 3)]) for at in range(count)]


@pytest.mark.parametrize(("bought", "deviation"), [(0.2, 10.0), (0.5, 0.0), (0.5, 20.0), (0.7, 15.0)])
def test_the_mean_price_of_a_doubt_is_that_of_the_curve(bought, deviation):
    rest, apart = 1 - bought, deviation / 100
    found = Lately(4000, cubic_offers()).mean_price_for(10 + 100 * bought, deviation)
    assert found == pytest.approx(1e6 * (rest**3 + 3 * rest * apart**2), rel=5e-3)


def test_what_costs_nothing_at_the_mean_is_not_given_up_for_a_doubt():
    assert Lately(100, cubic_offers(100)).mean_price_for(111.0, 30.0) == 0.0


def test_only_the_newest_offers_count():
    old, new = made_offers(300, 1), made_offers(100, 2)
    kept = Lately(100, old)
    for offer in new:
        kept.add(offer)
    assert [kept.price_for(mean) for mean in (4.0, 8.0)] == [
        Lately(100, new).price_for(mean) for mean in (4.0, 8.0)
    ]


def test_nothing_known_is_worth_no_price():
    assert Lately(10).price_for(1.0) == 0.0

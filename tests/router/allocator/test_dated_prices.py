"""What is reserved is settled at the prices of its reservation; what comes later is decided at those of later."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from predictors import Look
from predictors.observation import Observation, Query, Signals
from predictors.typical_queries import TypicalQueries
from router.allocation.books import Books
from router.costs.worst_case import Bound
from router.domain.options import Options
from router.domain.usage import Price
from router.ledger.in_process import in_process
from router.pricing.typical import typical_traffic

CHANGE = 1_700_000_100.0


class Doubles:
    """A price list: from `CHANGE` on everything costs twice as much."""

    changes = True

    def __init__(self, prices, bounds) -> None:
        self.before = prices, bounds

    def factor(self, at) -> Any:
        return 2 if at >= CHANGE else 1

    def version(self, at) -> Any:
        return "later" if at >= CHANGE else ""

    def next_after(self, at) -> Any:
        return CHANGE if at < CHANGE else math.inf

    def prices(self, at) -> Any:
        return {name: times(price, self.factor(at)) for name, price in self.before[0].items()}

    def bounds(self, at) -> Any:
        return {
            name: Bound(times(bound.price, self.factor(at)), bound.max_tokens, bound.template_tokens)
            for name, bound in self.before[1].items()
        }


def times(price: Price, factor: int) -> Price:
    return Price(price.per_token_in * factor, price.per_token_cached * factor, price.per_token_out * factor)


@pytest.fixture
def world(build, one) -> Any:
    house = build({"s": ["4"]}, {"small": [one("s")]})
    now = [CHANGE - 10]
    old = house.allocator.books
    house.allocator.books = Books(
        chooser=old.chooser,
        bypass=old.bypass,
        prices=old.prices,
        ledger=in_process(10**6, 3600.0, lambda: now[0]),
        store=house.store,
        verifiers={},
        modes=old.modes,
        settings=old.settings,
        monotonic_s=old.monotonic_s,
        wall_s=lambda: now[0],
        new_id=old.new_id,
        price_list=Doubles(old.prices, old.chooser.forecaster.bounds),  # type: ignore[arg-type]
    )
    return house, now


async def test_a_query_costs_what_it_did_when_it_was_reserved(world, ask):
    house, now = world
    events = house.allocator.run(ask(), Options())
    await anext(events)
    now[0] = CHANGE + 1
    house.allocator.books.begin(ask(request_id="r2"), Options())  # somebody else comes, at the new prices
    first = [event async for event in events][-1].decision
    second = (await house.done(ask(request_id="r3"))).decision
    assert (first.prices_since, second.prices_since) == ("", "later")
    assert second.cost == 2 * first.cost > 0
    assert second.reserved == 2 * first.reserved
    assert (first.charged, second.charged) == (first.cost, second.cost)


class KnowsTraffic:
    """Predictions with one typical query, which came at noon."""

    version = "told"
    typical = TypicalQueries(
        ("p_correct/s", "tokens_out/s"), np.array([[0.5, 10.0]]), np.array([40.0]), came=(12,)
    )

    def look(self, query: Query) -> Look:
        return Look()

    def confidence(self, seen: Observation, look: Look) -> Signals:
        return {}


async def test_what_typical_queries_would_spend_follows_the_prices(world, ask):
    house, now = world
    books, heard = house.allocator.books, list[Any]()
    books.pricing = SimpleNamespace(expect=heard.append, kept_back=lambda tenant: 0)
    books.chooser = replace(books.chooser, predictions=KnowsTraffic())
    chooser = books.chooser
    before = typical_traffic(chooser.predictions, chooser.menu.plans, chooser.forecaster)
    books.begin(ask(), Options())
    assert heard == []
    now[0] = CHANGE + 1
    books.begin(ask(), Options())
    (after,) = heard
    assert after.offers[0].least == 2 * before.offers[0].least > 0

"""What a query pays is the highest price of its branch; urgent queries have money of their own."""

from __future__ import annotations

import pytest

from router.domain.choice import Forecast
from router.domain.plan import Plan
from router.errors import UnknownName
from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.window import Window
from router.pricing.accounts import Prices

PLANS = (
    Forecast(Plan("cheap", ()), 0.2, 100.0, 0.0, 200),
    Forecast(Plan("dear", ()), 0.9, 1000.0, 0.0, 2000),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(clock: Clock, urgent_share: float = 0.0, *, refuse_unknown: bool = True) -> Prices:
    """Plenty for all, little for the tenant `small`; a query of each every second for a minute."""
    accounts = Accounts(
        [
            Account(ALL, 10**9, Window("hour"), within=""),
            Account("poor", 400_000, Window("hour"), tenants=("small",)),
        ],
        refuse_unknown=refuse_unknown,
    )
    ledger = Leased(accounts, Memory(clock), "one", clock)
    prices = Prices(accounts, ledger, clock, urgent_share=urgent_share)
    for second in range(60):
        clock.now = float(second)
        held = ledger.reserve(str(second), Amount(200), "small")
        ledger.settle(held, Amount(100))
        prices.ended(
            "small",
            PLANS,
            price=0.0,
            weight=1.0,
            latency_price=0.0,
            taken=None,
            reserved=Amount(200),
            used=Amount(100),
        )
    return prices


def test_a_tenant_short_of_money_pays_its_own_price():
    prices = told(Clock())
    assert prices.price_of(ALL) == 0.0
    assert prices.price("small") == prices.price_of("poor") > 0


def test_an_account_that_nobody_has_used_has_no_price():
    assert told(Clock()).price_of("nobody") == 0.0


def test_a_tenant_that_no_account_takes_is_an_error():
    with pytest.raises(UnknownName):
        told(Clock()).price("stranger")


def test_tenants_who_come_and_go_take_memory_with_an_end_and_no_price_with_them(monkeypatch):
    monkeypatch.setattr("router.pricing.accounts.MOST", 50)
    prices = told(Clock(), refuse_unknown=False)
    poor = prices.price("small")
    for number in range(200):
        assert prices.price(f"visitor {number}") == 0.0
    assert prices.price("small") == poor > 0
    assert len(prices._branches) == len(prices._named) <= 50


def test_what_is_kept_for_urgent_queries_is_let_go_as_the_window_passes():
    clock = Clock()
    prices = told(clock, urgent_share=0.1)
    first = prices.kept_back("small")
    assert first == pytest.approx(0.1 * 10**9 * 3541 / 3600, rel=0.01)
    clock.now = 3500.0
    prices.refused("small")
    assert prices.kept_back("small") < first / 20


def test_nothing_is_kept_where_nothing_was_asked_for():
    assert told(Clock()).kept_back("small") == 0

"""A query that the budget does not cover is told when it may."""

from __future__ import annotations

import pytest

from predictors.observation import Constraints
from router.domain.options import Options
from router.errors import BudgetExceeded
from router.ledger import Amount
from router.ledger.hand import RESERVED_RETRY_S
from router.ledger.in_process import in_process

WINDOW_S = 1024.0


def test_what_fits_need_not_wait():
    ledger = in_process(100, WINDOW_S, lambda: 0.0)
    ledger.reserve("a", Amount(60))
    assert (ledger.wait_s(Amount(40)), in_process(None, WINDOW_S, lambda: 0.0).wait_s(Amount(10**9))) == (
        0.0,
        0.0,
    )


def test_what_is_above_the_whole_budget_need_not_wait_either():
    assert in_process(100, WINDOW_S, lambda: 0.0).wait_s(Amount(101)) is None


def test_spent_money_comes_back_when_it_leaves_the_window():
    now = [0.5]
    ledger = in_process(100, WINDOW_S, lambda: now[0])
    ledger.settle(ledger.reserve("a", Amount(60)), Amount(60))
    wait_s = ledger.wait_s(Amount(50))
    assert wait_s == WINDOW_S + 3.5  # the end of its slice of four seconds
    now[0] += wait_s
    assert ledger.wait_s(Amount(50)) == 0.0


def test_reserved_money_comes_back_soon():
    ledger = in_process(100, WINDOW_S, lambda: 0.0)
    ledger.reserve("a", Amount(60))
    assert ledger.wait_s(Amount(50)) == RESERVED_RETRY_S


async def test_a_refusal_before_the_draw_says_when_the_cheapest_plan_fits_again(build, ask, one):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]}, budget=250)
    taken = house.ledger.reserve("another", Amount(200))
    house.ledger.settle(taken, Amount(200))
    with pytest.raises(BudgetExceeded) as caught:
        house.allocator.decide(ask(), Options())
    assert caught.value.needed_micros is not None
    assert caught.value.retry_after_s is not None
    assert 3000 < caught.value.retry_after_s < 3615  # of the window of an hour, and one slice


async def test_what_the_caller_does_not_want_is_not_waited_for(build, ask, one):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]}, budget=250)
    with pytest.raises(BudgetExceeded) as caught:
        house.allocator.decide(ask(constraints=Constraints(plan="large")), Options())
    assert caught.value.needed_micros is not None and caught.value.needed_micros > 250  # of the large plan
    assert caught.value.retry_after_s is None

"""A query that the budget does not cover is told when it may, or a cheaper plan takes over."""

from __future__ import annotations

import asyncio

import pytest

from predictors.observation import Constraints, OnUnavailable
from router.advising.held_reservations import HeldReservations
from router.costs.worst_case import worst_amount
from router.domain.decision import Status
from router.domain.options import Options
from router.domain.usage import Usage
from router.errors import BudgetExceeded
from router.first_decision.feasible import Limits
from router.ledger import ALL, Amount
from router.ledger.accounts import TOKENS, Account, Accounts
from router.ledger.hand import RESERVED_RETRY_S
from router.ledger.in_process import in_process
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.window import Window
from tests.router.allocator.conftest import Told

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
        await house.allocator.decide(ask(), Options())
    assert caught.value.needed_micros is not None
    assert caught.value.retry_after_s is not None
    assert 3000 < caught.value.retry_after_s < 3615  # of the window of an hour, and one slice


async def test_what_the_caller_does_not_want_is_not_waited_for(build, ask, one):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]}, budget=250)
    with pytest.raises(BudgetExceeded) as caught:
        await house.allocator.decide(ask(constraints=Constraints(plan="large")), Options())
    assert caught.value.needed_micros is not None and caught.value.needed_micros > 250  # of the large plan
    assert caught.value.retry_after_s is None


def share_with_another(house, limit: int, taken: int) -> Leased:
    """The house's ledger is one of two replicas'; the other takes so much of what this one believes is there."""
    clock, accounts = (lambda: 0.0), Accounts([Account(ALL, limit, Window("hour"), within="")])
    store = Memory(clock)
    store.immediate = False
    mine, other = (Leased(accounts, store, name, clock) for name in ("mine", "other"))
    for ledger in (mine, other):
        store.register(ledger.replica, accounts)

    async def fetch() -> None:
        mine.exchange()

    async def fetch_there() -> None:
        other.exchange()

    mine.fetch, other.fetch = fetch, fetch_there
    mine.exchange()
    asyncio.run(other.obtain("elsewhere", Amount(taken)))
    house.allocator.books.ledger = mine
    return mine


def test_where_tokens_are_short_a_plan_takes_over_that_they_suffice_for(build, ask, one):
    plans = {
        name: [one("s", max_samples=samples)] for name, samples in (("one", 1), ("two", 2), ("three", 3))
    }
    known = Told({"plan_quality/one": 0.7, "plan_quality/two": 0.8, "plan_quality/three": 0.9})
    house = build({"s": ["4"]}, plans, predictions=known)
    books = house.allocator.books
    bounds = books.chooser.forecaster.bounds
    tokens = [worst_amount(ask(), plan, bounds).tokens for plan in books.chooser.menu.plans]
    assert tokens[0] + 1 < tokens[1] < tokens[2]
    everything = Account(ALL, (tokens[0] + 1) * 1_000_000, Window("hour"), unit=TOKENS, within="")
    ledger = Leased(Accounts([everything]), Memory(lambda: 0.0), "here", lambda: 0.0)
    ledger.store.register("here", ledger.accounts)
    ledger.exchange()
    books.ledger = ledger
    done = asyncio.run(house.done(ask()))
    assert (done.decision.plan, done.decision.status) == ("one", Status.ANSWERED)
    with pytest.raises(BudgetExceeded, match=r"'all'.* may cost \d+ tokens, \d+ of \d+ are left"):
        asyncio.run(house.done(ask(request_id="r2")))


def test_where_the_store_has_less_than_was_known_a_cheaper_plan_takes_over(build, ask, one):
    plans = {"small": [one("s")], "large": [one("l")]}
    house = build({"s": ["4"], "l": ["5"]}, plans)
    worst = {row.plan.name: row.worst_cost for row in house.allocator.books.chooser.feasible(
        ask(), Limits(None, None, False), {})[0]}  # fmt: skip
    mine = share_with_another(house, 4 * worst["large"], 4 * worst["large"] - (worst["large"] - 1))
    assert worst["small"] < worst["large"] <= (mine.left() or 0)
    done = asyncio.run(house.done(ask()))
    assert done.decision.plan == "small" and done.decision.status is Status.ANSWERED
    assert "plan 'small' took over from 'large': less money was left than was known" in done.decision.degraded
    assert (done.decision.would_plan, done.decision.propensity) == (
        "large",
        done.decision.probabilities["large"],
    )
    assert done.decision.reserved == worst["small"] and mine.balance().reserved == 0


@pytest.mark.parametrize(
    ("constraints", "small_fits"),
    [
        (Constraints(on_unavailable=OnUnavailable.FAIL), True),
        (Constraints(plan="large"), True),
        (Constraints(), False),
    ],
)
def test_nothing_takes_over_that_is_not_wanted_or_does_not_fit_either(
    build, ask, one, constraints, small_fits
):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]})
    chooser = house.allocator.books.chooser
    worst = max(row.worst_cost for row in chooser.feasible(ask(), Limits(None, None, False), {})[0])
    mine = share_with_another(house, 4 * worst, 4 * worst - (worst - 1 if small_fits else worst // 4))
    with pytest.raises(BudgetExceeded):
        asyncio.run(house.done(ask(constraints=constraints)))
    assert house.store.rows[0].plan == "large" and mine.balance().reserved == 0


def test_a_decision_alone_takes_the_cheaper_plan_too_and_holds_its_worst_case(build, ask, one):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]})
    chooser = house.allocator.books.chooser
    worst = {
        row.plan.name: row.worst_cost for row in chooser.feasible(ask(), Limits(None, None, False), {})[0]
    }
    mine = share_with_another(house, 4 * worst["large"], 4 * worst["large"] - (worst["large"] - 1))
    held = HeldReservations(house.allocator.books)
    done = asyncio.run(house.allocator.decide(ask(), Options(), held.take))
    row = done.decision
    assert done.plan.name == row.plan == "small" and row.would_plan == "large"
    assert row.propensity == row.would_propensity == row.probabilities["large"]
    assert (row.status, row.stop_reason, row.reserved) == (Status.ANSWERED, "decided", 0)
    assert mine.balance().reserved == worst["small"]
    held.report(row.decision_id, {"s": Usage(1, tokens_out=1, samples=1)}, final=True)
    assert mine.balance().reserved == 0


def test_a_decision_that_cannot_be_paid_for_is_logged_as_a_failure_and_holds_nothing(build, ask, one):
    house = build({"s": ["4"], "l": ["5"]}, {"small": [one("s")], "large": [one("l")]})
    chooser = house.allocator.books.chooser
    worst = max(row.worst_cost for row in chooser.feasible(ask(), Limits(None, None, False), {})[0])
    mine = share_with_another(house, 4 * worst, 4 * worst - worst // 4)
    with pytest.raises(BudgetExceeded) as caught:
        asyncio.run(house.allocator.decide(ask(), Options(), HeldReservations(house.allocator.books).take))
    (row,) = house.store.rows
    assert (row.status, caught.value.decision_id) == (Status.FAILED, row.decision_id)
    assert row.error.startswith("BUDGET: ") and mine.balance().reserved == 0

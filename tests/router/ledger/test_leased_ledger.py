"""One replica's ledger: all or nothing over the branch, idempotent, exact; no network in what every query does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from router.errors import BudgetExceeded, PluginError, StoreError, UnknownName
from router.ledger import ALL, Amount
from router.ledger.accounts import TOKENS, Account, Accounts
from router.ledger.in_process import in_process
from router.ledger.leased import Leased, Terms
from router.ledger.shared import Memory
from router.ledger.window import GRAINS, Window

HOUR = Window("rolling", 3600.0)
TREE = (
    Account(ALL, 1000, HOUR, within=""),
    Account("research", 600, HOUR),
    Account("team", 300, HOUR, within="research", tenants=("a",)),
    Account("words", 50_000_000, HOUR, unit=TOKENS, tenants=("b",)),
    Account("each", 400, HOUR, tenants=("*",)),
)


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Remote(Memory):
    """A store that `reserve` must not call; it counts, and may be away."""

    immediate = False
    calls = 0
    away = False

    def sync(self, replica, asks) -> Any:
        self.calls += 1
        if self.away:
            raise StoreError("nobody answers")
        return super().sync(replica, asks)


def made(accounts=TREE, *, store=Memory, terms: Terms | None = None, **options) -> tuple[Any, Clock]:
    clock = Clock()
    tree = Accounts(accounts, **options)
    shared = store(clock)
    shared.register("r1", tree)
    ledger = Leased(tree, shared, "r1", clock, terms or Terms())

    async def fetch() -> None:
        try:
            ledger.exchange()
        except StoreError as error:
            ledger.lost_store(str(error))

    ledger.fetch = fetch
    return ledger, clock


def stands(ledger: Leased, account: str = ALL) -> tuple[int, int]:
    balance = ledger.balance(account)
    return balance.spent, balance.reserved


def test_a_request_is_reserved_in_every_account_of_its_branch():
    ledger, _ = made()
    held = ledger.reserve("q1", Amount(200), "a")
    assert held.accounts == ("team", "research", ALL)
    assert [stands(ledger, name) for name in (*held.accounts, "each")] == [(0, 200)] * 3 + [(0, 0)]


def test_what_does_not_fit_one_account_is_reserved_in_none():
    ledger, _ = made()
    ledger.settle(ledger.reserve("q1", Amount(250), "a"), Amount(250))
    with pytest.raises(BudgetExceeded, match=r"'team'.*may cost 0\.000051 USD, 0\.00005 of 0\.0003 are left"):
        ledger.reserve("q2", Amount(51), "a")
    assert [stands(ledger, name) for name in ("team", "research", ALL)] == [(250, 0)] * 3


def test_a_full_account_above_refuses_too():
    ledger, _ = made()
    ledger.reserve("q1", Amount(400), "c")
    ledger.reserve("q2", Amount(400), "d")
    with pytest.raises(BudgetExceeded, match="budget 'all'"):
        ledger.reserve("q3", Amount(201), "a")
    assert stands(ledger, "team") == (0, 0)


def test_every_tenant_that_is_not_named_has_an_account_of_its_own():
    ledger, _ = made()
    ledger.reserve("q1", Amount(400), "c")
    ledger.reserve("q2", Amount(400), "d")
    with pytest.raises(BudgetExceeded, match="budget 'each/c'"):
        ledger.reserve("q3", Amount(1), "c")
    assert ledger.balance("each/c").reserved == 400


def test_an_account_in_tokens_counts_tokens_and_those_above_money():
    ledger, _ = made()
    ledger.settle(ledger.reserve("q1", Amount(10, tokens=30), "b"), Amount(7, tokens=21))
    assert (stands(ledger, "words"), stands(ledger)) == ((21_000_000, 0), (7, 0))
    with pytest.raises(BudgetExceeded, match="'words'"):
        ledger.reserve("q2", Amount(1, tokens=30), "b")


def test_a_currency_is_converted_at_its_price_and_rounded_up():
    euro = Account("eu", 100, HOUR, unit="EUR", tenants=("e",), dollars_per_unit=1.25)
    ledger, _ = made([Account(ALL, None, HOUR, within=""), euro])
    ledger.settle(ledger.reserve("q1", Amount(100), "e"), Amount(51))
    assert stands(ledger, "eu") == (41, 0)  # 51 / 1.25 = 40.8
    assert ledger.left("e") == 73  # 59 * 1.25, rounded down


def test_the_same_request_is_reserved_and_settled_once():
    ledger, _ = made()
    first = ledger.reserve("q1", Amount(100), "a")
    assert ledger.reserve("q1", Amount(5), "a") is first
    assert ledger.settle(first, Amount(30)) == Amount(30)
    assert ledger.settle(first, Amount(99)) == Amount(30)
    assert ledger.reserve("q1", Amount(100), "a") is first
    assert stands(ledger) == (30, 0)


def test_a_request_that_is_never_settled_is_charged_at_its_worst_case():
    ledger, clock = made(terms=Terms(request_s=60.0, lease_s=200.0))
    held = ledger.reserve("q1", Amount(100), "a")
    clock.now += 60.0
    ledger.expire()
    assert (stands(ledger, "team"), ledger.expired) == ((100, 0), 1)
    assert ledger.settle(held, Amount(1)) == Amount(100)


def test_more_than_was_reserved_is_charged_and_counted():
    ledger, _ = made()
    ledger.settle(ledger.reserve("q1", Amount(100), "a"), Amount(450))
    ledger.exchange()
    assert ledger.balance("team").breached == 350
    assert ledger.balance("team").spent == 450
    assert ledger.breaches == 1
    with pytest.raises(BudgetExceeded):
        ledger.reserve("q2", Amount(1), "a")


def test_a_refusal_says_when_enough_has_left_the_window():
    ledger, clock = made()
    ledger.settle(ledger.reserve("q1", Amount(200), "a"), Amount(200))
    ledger.exchange()
    clock.now += 1000.0
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve("q2", Amount(101), "a")
    wait_s = caught.value.retry_after_s
    assert wait_s is not None
    assert 2600 <= wait_s <= 2600 + 3600 / GRAINS
    clock.now += wait_s
    assert ledger.reserve("q2", Amount(101), "a").amount == Amount(101)


def test_more_than_the_whole_budget_is_not_to_be_waited_for():
    ledger, _ = made()
    with pytest.raises(BudgetExceeded, match="more than the whole budget") as caught:
        ledger.reserve("q1", Amount(301), "a")
    assert caught.value.retry_after_s is None


def test_a_calendar_budget_begins_anew_with_its_day():
    ledger, clock = made([Account(ALL, 100, Window("day"), within="")])
    ledger.settle(ledger.reserve("q1", Amount(100)), Amount(100))
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve("q2", Amount(1))
    assert caught.value.retry_after_s == 86_400 - 1_700_000_000 % 86_400
    clock.now += caught.value.retry_after_s
    assert ledger.reserve("q2", Amount(100)).amount == Amount(100)


def test_what_is_in_flight_at_the_end_of_a_day_is_part_of_the_next():
    ledger, clock = made([Account(ALL, 100, Window("day"), within="")])
    held = ledger.reserve("q1", Amount(70))
    clock.now += 500.0
    ledger.settle(held, Amount(70))
    clock.now += 86_400.0
    assert ledger.reserve("q2", Amount(100)).amount == Amount(100)


def test_a_lowered_limit_holds_at_once_and_honours_what_runs():
    ledger, _ = made()
    held = ledger.reserve("q1", Amount(200), "a")
    version = ledger.store.set_limit(ledger.accounts.by_name["team"], 50)
    ledger.exchange()
    with pytest.raises(BudgetExceeded):
        ledger.reserve("q2", Amount(1), "a")
    balance = ledger.balance("team")
    assert (balance.limit, balance.left, balance.version, version) == (50, -150, 2, 2)
    ledger.settle(held, Amount(180))
    assert stands(ledger, "team") == (180, 0)


def test_a_limit_that_comes_where_there_was_none_honours_what_runs():
    ledger, _ = made([Account(ALL, None, HOUR, within="")], store=Remote)
    ledger.exchange()
    held = ledger.reserve("q1", Amount(700))
    ledger.store.set_limit(ledger.accounts.by_name[ALL], 100)
    ledger.exchange()
    with pytest.raises(BudgetExceeded):
        ledger.reserve("q2", Amount(1))
    ledger.exchange()
    ledger.settle(held, Amount(650))
    ledger.exchange()
    assert ledger.store.states[ALL].booked == 650
    assert ledger.store.states[ALL].leases["r1"].beyond == 0


def test_without_a_limit_nothing_is_refused_and_everything_counted():
    ledger = in_process(None, 60.0, Clock())
    ledger.settle(ledger.reserve("q1", Amount(10**15)), Amount(10**15))
    assert stands(ledger) == (10**15, 0)
    assert ledger.left() is None


@pytest.mark.parametrize("micros", [-1, 1.5, True, float("nan"), "3"])
def test_an_amount_that_is_none_is_refused_and_changes_nothing(micros):
    ledger, _ = made()
    held = ledger.reserve("q1", Amount(10), "a")
    with pytest.raises(PluginError, match="whole micro-units >= 0"):
        ledger.reserve("q2", Amount(micros), "a")
    with pytest.raises(PluginError, match="'q1'"):
        ledger.settle(held, Amount(0, tokens=micros))
    assert stands(ledger) == (0, 10)


def test_a_tenant_that_nobody_named_can_be_refused():
    ledger, _ = made(TREE[:3], refuse_unknown=True)
    with pytest.raises(UnknownName, match=r"unknown tenant 'stranger'; no \[\[budgets\]\] names it"):
        ledger.reserve("q1", Amount(1), "stranger")


def test_an_account_that_is_not_there_is_named_with_the_choices():
    ledger, _ = made()
    with pytest.raises(UnknownName, match=r"'nobody'.*choose from all, each, research, team, words"):
        ledger.balance("nobody")


def test_reserving_and_settling_from_what_is_in_hand_asks_nobody():
    ledger, clock = made([Account(ALL, 10**9, HOUR, within="")], store=Remote)
    ledger.exchange()
    for number in range(1000):
        clock.now += 0.01
        ledger.settle(ledger.reserve(f"q{number}", Amount(100)), Amount(60))
    assert ledger.store.calls == 1


async def test_a_request_above_this_replicas_share_asks_the_store_once():
    ledger, _ = made(store=Remote)
    ledger.exchange()
    held = await ledger.obtain("q1", Amount(290), "a")
    assert (held.amount, ledger.store.calls) == (Amount(290), 2)


async def test_an_exhausted_budget_is_not_asked_for_with_every_refusal():
    ledger, _ = made(store=Remote)
    ledger.settle(await ledger.obtain("q0", Amount(300), "a"), Amount(300))
    ledger.exchange()
    calls = ledger.store.calls
    for number in range(100):
        with pytest.raises(BudgetExceeded):
            await ledger.obtain(f"q{number + 1}", Amount(10), "a")
    assert ledger.store.calls == calls


def test_a_lease_is_not_reserved_from_in_its_last_seconds():
    ledger, clock = made(store=Remote, terms=Terms(request_s=60.0, lease_s=150.0))
    ledger.exchange()
    clock.now += 59.0
    ledger.reserve("q1", Amount(1), "a")
    clock.now += 1.0
    with pytest.raises(BudgetExceeded):
        ledger.reserve("q2", Amount(1), "a")


async def test_while_the_store_is_away_what_is_in_hand_is_spent_and_then_refused():
    ledger, _ = made([Account(ALL, 6400, HOUR, within="")], store=Remote)
    ledger.exchange()  # a 64th in hand
    ledger.store.away = True
    await ledger.obtain("q1", Amount(100))
    with pytest.raises(BudgetExceeded, match="are left"):
        await ledger.obtain("q2", Amount(1))
    with pytest.raises(BudgetExceeded, match="away: nobody answers"):
        await ledger.obtain("q3", Amount(1))


async def test_the_stated_allowance_is_spent_while_the_store_is_away_and_counts_afterwards():
    ledger, _ = made(
        [Account(ALL, 6400, HOUR, within="")], store=Remote, terms=Terms(lease_s=1000.0, allowance=0.01)
    )
    ledger.exchange()
    ledger.store.away = True
    ledger.settle(await ledger.obtain("q1", Amount(100)), Amount(100))
    with pytest.raises(BudgetExceeded):
        await ledger.obtain("q2", Amount(100))
    ledger.settle(await ledger.obtain("q3", Amount(64)), Amount(64))
    with pytest.raises(BudgetExceeded):
        await ledger.obtain("q4", Amount(1))
    ledger.store.away = False
    ledger.exchange()
    assert ledger.store.states[ALL].booked == 164
    assert stands(ledger) == (164, 0)


def test_what_is_not_needed_goes_back():
    ledger, clock = made([Account(ALL, 6400, HOUR, within="")], store=Remote)
    ledger.exchange()
    ledger.settle(ledger.reserve("q1", Amount(50)), Amount(1))
    for _ in range(40):
        clock.now += 12.0
        ledger.exchange()
    assert ledger.store.states[ALL].held <= 6400 // 64


def test_settled_ids_are_forgotten_in_time_and_in_number():
    ledger, clock = made(
        [Account(ALL, None, HOUR, within="")], terms=Terms(remember_s=50.0, remember_most=100)
    )
    for number in range(2000):
        clock.now += 0.2
        ledger.settle(ledger.reserve(f"q{number}", Amount(5)), Amount(5))
    assert len(ledger._requests.settled) <= 101
    assert ledger.in_flight == 0


def test_what_is_not_as_it_should_be_is_told_in_words():
    ledger, clock = made(store=Remote, terms=Terms(request_s=60.0, lease_s=500.0))
    ledger.exchange()
    assert ledger.troubles == ()
    ledger.settle(ledger.reserve("q1", Amount(1), "a"), Amount(3))
    ledger.reserve("q2", Amount(1), "a")
    clock.now += 60.0
    ledger.expire()
    ledger.lost_store("nobody answers")
    assert [text.split(":")[0] for text in ledger.troubles] == [
        "the store of budgets is away",
        "1 requests used more than was reserved for them",
        "1 requests were charged at their worst case",
    ]

"""A store's clock that was far ahead and is put right: nothing is given back early, and that it is so is said."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from router.errors import BudgetExceeded
from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased
from router.ledger.renewal import Renewal
from router.ledger.shared import Memory
from router.ledger.window import Window

DAY = 86_400.0
TREE = Accounts([Account(ALL, 1000, Window("rolling", 3600.0), within="")])


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(clock):
    store = Memory(clock)
    store.register("r1", TREE)
    ledger = Leased(TREE, store, "r1", lambda: 0.0)
    ledger.exchange()
    return ledger


def test_a_window_that_stands_still_is_told_and_never_overspent(clock, ledger):
    clock.now += 3 * DAY
    ledger.exchange()  # as replicas do every few seconds: what it held before is counted as spent
    ledger.settle(ledger.reserve("q1", Amount(900)), Amount(900))
    ledger.exchange()
    assert ledger.troubles == ()
    clock.now -= 3 * DAY
    ledger.exchange()
    (told,) = ledger.troubles
    assert (
        told
        == "the clock of the store of budgets was set back: nothing leaves the windows for 3 days, 0:00:00"
    )
    clock.now += DAY  # longer than the window, and what was spent is still in it
    with pytest.raises(BudgetExceeded):
        ledger.reserve("q2", Amount(200))
    assert ledger.troubles[0].endswith("for 2 days, 0:00:00")
    clock.now += 2 * DAY + 2 * 3600
    ledger.exchange()
    assert ledger.troubles == ()
    ledger.reserve("q2", Amount(200))


def test_a_clock_that_steps_back_by_seconds_is_nothing_to_tell(clock, ledger):
    clock.now -= 5.0
    ledger.exchange()
    assert ledger.troubles == ()


async def test_the_log_says_it_once_and_when_it_is_over(clock, ledger):
    renewal = Renewal(ledger)
    with capture_logs() as logged:
        for step in (0.0, -DAY, 10.0, 10.0, DAY):
            clock.now += step
            await renewal.fetch()
    assert [entry["event"] for entry in logged] == [
        "the clock of the store of budgets was set back: nothing leaves the windows for 1 day, 0:00:00",
        "the clock of the store of budgets has caught up",
    ]
    await asyncio.to_thread(renewal._thread.shutdown)

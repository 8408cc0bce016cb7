"""While the store is away a balance says what this replica may still reserve by itself, and for how long."""

from __future__ import annotations

import pytest

from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased, Terms
from router.ledger.shared import Memory
from router.ledger.window import Window


class Remote(Memory):
    """A store that `reserve` does not call."""

    immediate = False


def made(now: list[float], allowance: float = 0.0) -> Leased:
    """With a 64th of the limit, 100, in hand."""
    tree = Accounts([Account(ALL, 6400, Window("hour"), within="")])
    store = Remote(lambda: now[0])
    store.register("r1", tree)
    ledger = Leased(tree, store, "r1", lambda: now[0], Terms(allowance=allowance))
    ledger.exchange()
    return ledger


def test_with_the_store_nothing_is_said_of_what_is_in_hand():
    assert made([1e9]).balance().in_hand is None


def test_what_is_reserved_is_not_in_hand():
    ledger = made([1e9])
    ledger.lost_store("nobody answers")
    assert ledger.balance().in_hand == 100
    ledger.reserve("q1", Amount(30))
    assert ledger.balance().in_hand == 70


def test_nothing_is_in_hand_once_the_lease_may_not_be_used():
    now = [1e9]
    ledger = made(now)
    ledger.lost_store("nobody answers")
    lasts = ledger.balance().in_hand_s
    now[0] += 10.0
    assert ledger.balance().in_hand_s == pytest.approx(lasts - 10.0)
    now[0] += lasts
    assert (ledger.balance().in_hand, ledger.balance().in_hand_s) == (0, 0.0)


def test_the_stated_allowance_is_in_hand():
    ledger = made([1e9], allowance=0.01)
    ledger.lost_store("nobody answers")
    assert ledger.balance().in_hand == 100 + 64


def test_a_question_to_the_store_that_is_on_its_way_or_lost_changes_no_figure():
    ledger = made([1e9])
    ledger.settle(ledger.reserve("q1", Amount(30)), Amount(20))
    ledger.reserve("q2", Amount(40))
    before = ledger.balance()
    assert (before.spent, before.reserved, before.queries) == (20, 40, 2)
    ledger.asks()
    assert ledger.balance() == before
    ledger.exchange()
    assert (ledger.balance().spent, ledger.balance().reserved, ledger.balance().queries) == (20, 40, 2)

"""The audit finds what does not add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.audit import audit, compare_charges
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.state import Moved
from router.ledger.window import Window

NOW = [1_700_000_000.0]


@pytest.fixture
def store() -> Any:
    tree = Accounts([Account(ALL, 1000, Window("rolling", 600.0), within="")])
    store = Memory(lambda: NOW[0])
    store.movements = []
    store.register("r1", tree)
    ledger = Leased(tree, store, "r1", lambda: NOW[0])
    for number in range(5):
        ledger.settle(ledger.reserve(f"q{number}", Amount(100)), Amount(40 + number))
    ledger.exchange()
    return store


def problems(store) -> list[str]:
    (found,) = audit(store.states, store.movements)
    return found.problems


def test_what_adds_up_has_no_problems(store):
    (found,) = audit(store.states, store.movements)
    assert found.problems == []
    assert (found.spent, found.limit, found.over) == (210, 1000, 0)
    assert found.granted == found.returned + found.spent + found.held
    assert compare_charges(found, {"r1": 210}) == []


@pytest.mark.parametrize("kind", [Moved.GRANT, Moved.SPEND])
def test_a_missing_row_is_found(store, kind):
    store.movements.remove(next(row for row in store.movements if row.kind is kind))
    assert problems(store) != []


def test_a_changed_amount_is_found(store):
    at = next(index for index, row in enumerate(store.movements) if row.kind is Moved.SPEND)
    store.movements[at] = replace(store.movements[at], amount=store.movements[at].amount - 1)
    assert any("booked" in problem for problem in problems(store))


def test_a_changed_account_is_found(store):
    store.states[ALL].limit = 5
    assert problems(store) == ["limit: the movements say 1000, the account 5"]


def test_a_grant_of_what_was_not_there_is_found(store):
    row = next(row for row in store.movements if row.kind is Moved.GRANT)
    store.movements.append(replace(row, amount=5000, at=store.movements[-1].at))
    assert any("5000 granted, and" in problem for problem in problems(store))


def test_a_time_that_runs_backwards_is_found(store):
    store.movements[-1] = replace(store.movements[-1], at=1.0)
    assert any("written after" in problem for problem in problems(store))


@pytest.mark.parametrize(
    ("charged", "message"),
    [
        ({"r1": 10**6}, "its decisions say 1000000"),
        ({"r1": 209}, "its leases say 210 was spent, its decisions only 209"),
        ({"r1": 210, "r9": 1}, "r9: its decisions say 1, its leases only 0"),
    ],
)
def test_decisions_that_say_otherwise_are_found(store, charged, message):
    (found,) = audit(store.states, store.movements)
    assert any(message in problem for problem in compare_charges(found, charged))
    assert compare_charges(found, {"r1": 209}, less=("r1",)) == []


def test_a_replica_that_slept_for_days_adds_up_and_pays_for_what_it_used():
    now = [1_700_000_000.0]
    tree = Accounts([Account(ALL, 1000, Window("rolling", 600.0), within="")])
    store = Memory(lambda: now[0])
    store.movements = []
    store.register("r1", tree)
    ledger = Leased(tree, store, "r1", lambda: now[0])
    ledger.settle(ledger.reserve("q", Amount(100)), Amount(40))  # not yet told to the store
    now[0] += 2 * 86_400.0
    ledger.exchange()
    (found,) = audit(store.states, store.movements)
    assert found.problems == []
    assert found.spent + found.lost >= 40
    assert found.granted == found.returned + found.spent + found.lost + found.held

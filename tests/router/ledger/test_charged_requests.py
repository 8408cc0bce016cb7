"""Charged requests are known for a while; those charged when their time was over are not pushed out by the others."""

from __future__ import annotations

from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased, Terms
from router.ledger.shared import Memory
from router.ledger.window import Window


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_settles_too_late_hears_the_worst_case_however_many_were_settled_since():
    clock = Clock()
    account = Account(ALL, None, Window("rolling", 3600.0), within="")
    terms = Terms(request_s=60.0, lease_s=200.0, remember_s=500.0, remember_most=10)
    ledger = Leased(Accounts([account]), Memory(clock), "here", clock, terms)
    late = ledger.reserve("late", Amount(100))
    clock.now += 60.0
    for number in range(50):
        ledger.settle(ledger.reserve(f"q{number}", Amount(5)), Amount(5))
    assert ledger.settle(late, Amount(1)) == Amount(100)


def test_tenants_who_come_and_go_take_memory_with_an_end(monkeypatch):
    monkeypatch.setattr("router.ledger.leased.MOST_BRANCHES", 50)
    clock, hour = Clock(), Window("rolling", 3600.0)
    accounts = [Account(ALL, 1000, hour, within=""), Account("team", 300, hour, tenants=("a",))]
    ledger = Leased(Accounts(accounts), Memory(clock), "here", clock)
    held = ledger.reserve("first", Amount(10), "a")
    for number in range(200):
        ledger.settle(ledger.reserve(f"r{number}", Amount(2), f"visitor {number}"), Amount(1))
    assert len(ledger._branches) <= 50
    assert ledger.settle(held, Amount(4)) == Amount(4)
    assert (ledger.balance().spent, ledger.balance("team").spent, ledger.balance().reserved) == (204, 4, 0)

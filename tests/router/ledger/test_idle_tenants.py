"""A tenant with an account of its own that comes and goes: the account is given back, and begun anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import IDLE_S, Leased
from router.ledger.shared import Memory
from router.ledger.window import Window

HOUR = Window("rolling", 3600.0)


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Remote(Memory):
    """A store that `reserve` must not call."""

    immediate = False


def made(store: type[Memory], limit: int | None, total: int | None) -> tuple[Any, Clock]:
    """A replica over accounts of everybody (`total`) and of each tenant (`limit`)."""
    clock = Clock()
    each = Account("each", limit, HOUR, tenants=("*",))
    tree, shared = Accounts((Account(ALL, total, HOUR, within=""), each)), store(clock)
    shared.register("r1", tree)
    ledger = Leased(tree, shared, "r1", clock)

    async def fetch() -> None:
        ledger.exchange()

    ledger.fetch = fetch
    return ledger, clock


def stands(ledger: Leased, account: str) -> tuple[int, int]:
    balance = ledger.balance(account)
    return balance.spent, balance.reserved


@pytest.mark.parametrize("store", [Memory, Remote])
async def test_a_tenant_who_comes_after_a_pause_gets_what_is_left_of_its_budget(store):
    ledger, clock = made(store, 400, 1000)
    ledger.settle(await ledger.obtain("q1", Amount(20), "z"), Amount(20))
    await ledger.fetch()
    clock.now += IDLE_S + 1
    ledger.settle(await ledger.obtain("q2", Amount(300), "z"), Amount(300))
    assert stands(ledger, "each/z") == (320, 0)


@pytest.mark.parametrize("limit", [400, None])
async def test_what_a_tenant_spends_while_its_account_is_given_back_is_booked(limit):
    ledger, clock = made(Remote, limit, None)
    ledger.settle(await ledger.obtain("q1", Amount(20), "z"), Amount(20))
    await ledger.fetch()
    clock.now += IDLE_S + 1
    asks = ledger.asks()
    assert [ask.leave for ask in asks if ask.account == "each/z"] == [True]
    late = ledger.reserve("q2", Amount(70), "z") if limit is None else None
    ledger.hear(asks, ledger.store.sync("r1", asks), clock())
    if late is None:
        late = await ledger.obtain("q2", Amount(70), "z")
    ledger.settle(late, Amount(70))
    await ledger.fetch()
    await ledger.fetch()
    assert stands(ledger, "each/z") == (90, 0)
    assert ledger.balance("each/z").queries == 2
    assert ledger.breaches == 0

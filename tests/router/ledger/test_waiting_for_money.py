"""Who waits for money that is in the store gets it, whoever else comes meanwhile."""

from __future__ import annotations

from router.ledger import ALL, Amount, Reservation
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased
from router.ledger.shared import Memory
from router.ledger.window import Window


class Remote(Memory):
    """A store that `reserve` must not ask."""

    immediate = False


def now() -> float:
    return 1_700_000_000.0


def made() -> Leased:
    tree = Accounts([Account(ALL, 10**9, Window("rolling", 3600.0), within="")])
    store = Remote(now)
    store.register("r1", tree)
    ledger = Leased(tree, store, "r1", now)
    ledger.exchange()
    return ledger


async def test_who_waited_for_money_that_others_took_meanwhile_asks_again():
    ledger = made()
    taken: list[Reservation] = []
    hand = ledger._hands[ALL]

    async def fetched_and_taken() -> None:
        ledger.exchange()
        if len(taken) < 2:  # some reserve without waiting, between the answer and those who waited for it
            taken.append(ledger.reserve(f"new{len(taken)}", Amount(hand.free)))

    ledger.fetch = fetched_and_taken
    held = await ledger.obtain("q1", Amount(hand.free + 1))
    assert (held.request_id, len(taken)) == ("q1", 2)

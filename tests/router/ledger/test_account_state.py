"""What one request does to an account, and what a replica may do with its answer, number by number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.ledger.accounts import Account
from router.ledger.hand import Hand
from router.ledger.state import Ask, Moved, Movement, State
from router.ledger.sync import sync
from router.ledger.window import Window

HOUR = Window()


def state(limit: int | None = 100) -> State:
    return State(limit, limit, "rolling", 3600.0)


def ask(**more: Any) -> Ask:
    return Ask("all", 100, HOUR, **more)


def moved(movements: list[Movement]) -> dict[Moved, int]:
    return {one.kind: one.amount for one in movements if one.kind is not Moved.LIMIT}


def test_a_request_that_a_later_one_has_overtaken_changes_nothing():
    books = state()
    first, _ = sync(books, ask(sequence=1, need=50), "a", 0.0)
    later, _ = sync(books, ask(sequence=3, lease=1, granted=50, spent=20), "a", 1.0)
    late, movements = sync(books, ask(sequence=2, lease=1, granted=50, spent=10, want=30), "a", 2.0)
    assert (first.granted, later.booked, late.booked, late.granted, movements) == (50, 20, 20, 50, [])


def test_what_is_given_back_with_the_same_report_was_not_there_to_be_spent():
    """Of 50 held 30 come back and 40 were spent: 20 of these were held, 20 are beyond."""
    books = state()
    sync(books, ask(sequence=1, need=50), "a", 0.0)
    answer, movements = sync(books, ask(sequence=2, lease=1, granted=50, spent=40, returned=30), "a", 1.0)
    assert moved(movements) == {Moved.SPEND: 20, Moved.BREACH: 20, Moved.RETURN: 30}
    assert (answer.booked, answer.held, answer.beyond) == (40, 0, 20)


def test_less_than_is_needed_is_not_given_and_others_are_told_only_where_they_hold_some():
    books = state()
    sync(books, ask(need=90), "a", 0.0)
    short, movements = sync(books, ask(need=20), "b", 1.0)
    assert (short.granted, short.hungry, moved(movements)) == (0, True, {})
    alone, _ = sync(state(), ask(need=101), "a", 1_000.0)
    assert (alone.granted, alone.hungry) == (0, False)


def test_what_leaves_the_window_leaves_at_its_moment():
    books, spent = state(), ask(sequence=2, lease=1, granted=50, spent=50)
    sync(books, ask(sequence=1, need=50), "a", 0.0)
    ((leaves, amount),) = sync(books, spent, "a", 0.0)[0].leaving
    before, _ = sync(books, replace(spent, sequence=3), "a", leaves - 0.1)
    at, _ = sync(books, replace(spent, sequence=4), "a", leaves)
    assert (amount, before.booked, at.booked) == (50, 50, 0)


def test_a_replica_gets_a_quarter_of_its_share_of_what_is_left():
    """So that what one that dies takes along stays bounded."""
    books = state()
    first, _ = sync(books, ask(want=100), "a", 0.0)
    second, _ = sync(books, ask(want=100), "b", 1.0)
    assert (first.granted, second.granted) == (100 // 4, 75 // (4 * 2))


def test_what_a_lapsed_lease_held_is_booked_once_and_what_was_used_beyond_it_comes_on_top():
    books = state()
    sync(books, ask(sequence=1, need=50, lease_s=10.0), "a", 0.0)
    lapsed, movements = sync(books, ask(sequence=1), "b", 20.0)
    assert (moved(movements), lapsed.booked, lapsed.lost) == ({Moved.LAPSE: 50}, 50, 50)
    told = ask(sequence=2, lease=1, granted=50, spent=70, allowed=15)
    found, movements = sync(books, told, "a", 30.0)
    assert moved(movements) == {Moved.LATE: 50, Moved.ALLOWED: 15, Moved.BREACH: 5}
    assert (found.booked, found.lease) == (70, 3)  # the second one is b's


@pytest.fixture
def hand() -> Hand:
    """Holds 50 of 100 until second 10."""
    found, books = Hand(Account("all", 100), 0.0), state()
    asked = ask(need=50)
    found.hear(asked, sync(books, asked, "a", 0.0)[0], 10.0, 0.0)
    return found


def test_what_is_in_hand_may_be_taken_until_the_lease_ends_and_not_at_its_end(hand: Hand):
    assert [hand.fits(need, now) for need, now in ((50, 9.9), (51, 9.9), (50, 10.0))] == [True, False, False]


def test_the_whole_limit_may_be_waited_for_and_more_may_not(hand: Hand):
    hand.take(50, 0.0)
    assert hand.wait_s(100, 0.0) is not None
    assert hand.wait_s(101, 0.0) is None


def test_a_new_lease_begins_its_totals_anew(hand: Hand):
    """The old one had lapsed: what was told of it is booked, what was not is the new one's first."""
    hand.take(40, 0.0)
    hand.settle(40, 40)
    told = ask(sequence=2, lease=1, granted=50, spent=30)
    books = state()
    answer = sync(books, ask(need=20), "b", 0.0)[0]
    hand.hear(told, replace(answer, lease=2, granted=20), 20.0, 5.0)
    assert (hand.lease, hand.spent, hand.hold) == (2, 10, 10)

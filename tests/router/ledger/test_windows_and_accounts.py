"""Windows end when they say, and a tree of accounts that is none is refused in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.window import GRAINS, Window

MOMENTS = st.floats(1e9, 4e9)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@given(MOMENTS, st.floats(1.0, 1e7))
def test_nothing_leaves_a_rolling_window_before_its_length_nor_much_later(moment, length):
    stays = Window("rolling", length).leaves(moment) - moment
    assert length * (1 - 1e-9) <= stays <= length * (1 + 1 / GRAINS + 1e-6) + 1e-5


@given(MOMENTS, st.sampled_from(("hour", "day", "month")))
def test_a_calendar_window_holds_its_moment_and_the_next_begins_where_it_ends(moment, kind):
    window = Window(kind)
    start, end = window.start_and_end(moment)
    assert start <= moment < end == window.leaves(moment)
    assert window.start_and_end(end)[0] == end


@pytest.mark.parametrize(
    ("kind", "moment", "end"),
    [
        ("hour", "2026-11-22T04:59:59", "2026-11-22T05:00:00"),
        ("day", "2026-11-22T00:00:00", "2026-11-23T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_calendar_windows_end_with_utc(kind, moment, end):
    assert Window(kind).leaves(at(moment)) == at(end)


@pytest.mark.parametrize("length", [0.0, -1.0, float("nan"), 1e9])
def test_a_window_without_a_length_is_refused(length):
    with pytest.raises(ConfigError, match="length above 0"):
        Window("rolling", length)


def test_a_window_of_no_kind_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match="unknown kind 'week'; choose from rolling, hour, day, month"):
        Window("week")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ([Account("a", -1)], "'a': a limit is from 0 to"),
        ([Account("a", 10**19)], "'a': a limit is from 0 to"),
        ([Account("a", 1), Account("a", 2)], "two of this name"),
        ([Account("a", 1, within="b")], "within = 'b' is no budget; choose from a, all"),
        ([Account("a", 1, within="b"), Account("b", 1, within="a")], "lies within itself"),
        ([Account("a", 1, within="")], "only 'all' lies within nothing"),
        ([Account("a", 1, tenants=("t",)), Account("b", 1, tenants=("t",))], "'t' is already in 'a'"),
        ([Account("a", 1, unit="EUR", dollars_per_unit=0.0)], "costs more than"),
    ],
)
def test_a_tree_that_is_none_is_refused_in_words(accounts, message):
    with pytest.raises(ConfigError, match=message):
        Accounts(accounts)


@given(st.tuples(*[st.integers(0, 10**6)] * 3), st.tuples(*[st.integers(0, 10**6)] * 3))
def test_an_amount_splits_without_loss(first, second):
    used, held = Amount(*first), Amount(*second)
    part = used.at_most(held)
    assert part + used.minus(part) == used


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1e-3, 1e3))
def test_less_money_is_never_more_in_another_currency(one, other, dollars):
    measure = Account("a", None, unit="EUR", dollars_per_unit=dollars).measure()
    low, high = sorted((one, other))
    assert measure(Amount(low)) <= measure(Amount(high))


def test_the_root_is_there_without_being_configured():
    assert [account.name for account in Accounts().chain("anybody")] == [ALL]

"""Every store that replicas share: it grants what there is, once, and its movements add up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from router.errors import BudgetExceeded, ConfigError, StoreError
from router.ledger import ALL, Amount
from router.ledger.accounts import Account, Accounts
from router.ledger.audit import audit
from router.ledger.databases import open_shared
from router.ledger.leased import Leased, Terms
from router.ledger.state import Ask
from router.ledger.window import Window

HOUR = Window("rolling", 3600.0)
TREE = Accounts(
    [Account(ALL, 10_000, HOUR, within=""), Account("team", 4_000, Window("day"), tenants=("a",))]
)


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request) -> Any:
    return request.param


@pytest.fixture
def address(kind, request) -> Any:
    if kind == "postgres":
        return request.getfixturevalue("postgres_address")
    return ":memory:" if kind == "memory" else "budgets.db"


@pytest.fixture
def store(address, tmp_path) -> Any:
    opened = open_shared(address, tmp_path, Clock())
    if hasattr(opened, "movements"):
        opened.movements = []
    opened.register("r1", TREE)
    yield opened
    opened.close()


def books(store) -> Any:
    looked = store.look() if hasattr(store, "look") else (store.states, store.movements)
    return {found.account: found for found in audit(*looked)}


def ask(**changes) -> Ask:
    told: dict[str, Any] = {"account": "team", "limit": 4_000, "window": Window("day")}
    return Ask(**told | changes)


def test_it_grants_what_there_is_and_not_more(store):
    (first,) = store.sync("r1", [ask(need=3_000)])
    (second,) = store.sync("r2", [ask(want=3_000)])
    assert (first.granted, second.granted) == (3_000, 125)  # of scarce money a quarter of an equal share
    assert books(store)["team"].held == 3_125


def test_an_amount_that_does_not_cover_the_need_is_not_given_and_the_others_are_told(store):
    store.sync("r1", [ask(need=3_900)])
    before = store.changes()
    (second,) = store.sync("r2", [ask(need=200)])
    assert (second.granted, second.hungry) == (0, True)
    assert store.changes() > before


def test_a_request_that_arrives_twice_moves_nothing_twice(store):
    first = ask(want=1_000)
    store.sync("r1", [first])
    store.sync("r1", [first])
    report = ask(sequence=2, lease=1, granted=1_000, spent=300, returned=100)
    store.sync("r1", [report])
    (answer,) = store.sync("r1", [report])
    assert (answer.booked, answer.held) == (300, 600)
    assert books(store)["team"].spent == 300


def test_what_a_replica_returns_another_may_take(store):
    store.sync("r1", [ask(need=4_000)])
    store.sync("r1", [ask(sequence=2, lease=1, granted=4_000, spent=500, leave=True)])
    (answer,) = store.sync("r2", [ask(need=3_500)])
    assert (answer.granted, answer.booked) == (3_500, 500)


def test_a_limit_is_versioned_and_a_lower_one_grants_nothing(store):
    store.sync("r1", [ask(want=1_000)])
    assert store.set_limit(TREE.by_name["team"], 800) == 2
    (answer,) = store.sync("r1", [ask(sequence=2, lease=1, granted=1_000, want=10)])
    assert (answer.limit, answer.version, answer.granted) == (800, 2, 1_000)
    assert books(store)["team"].problems == []


def test_several_accounts_are_one_exchange(store):
    answers = store.sync("r1", [ask(want=10), ask(account=ALL, limit=10_000, window=HOUR, want=20)])
    assert [answer.granted for answer in answers] == [10, 20]


def test_a_replica_that_was_configured_otherwise_is_refused_while_the_first_is_alive(store):
    store.sync("r1", [ask(account=ALL, limit=10_000, window=HOUR)])
    other = Accounts([Account(ALL, 20_000, HOUR, within=""), TREE.by_name["team"]])
    with pytest.raises(ConfigError, match=r"configured otherwise than r1.*all: .*\"limit\": 20000.* here"):
        store.register("r2", other)
    store.sync("r1", [ask(account=ALL, limit=10_000, window=HOUR, sequence=2, lease=1, leave=True)])
    store.register("r2", other)
    (answer,) = store.sync("r2", [ask(account=ALL, limit=20_000, window=HOUR)])
    assert (answer.limit, answer.version) == (20_000, 2)


def test_an_account_that_holds_amounts_of_one_unit_is_not_read_in_another(store):
    """Two tokens became two dollars, and the account was closed for the month."""
    in_tokens = replace(TREE.by_name["team"], unit="tokens")
    tree = Accounts([TREE.by_name[ALL], in_tokens])
    store.sync("r1", [ask(want=1_000)])
    with pytest.raises(ConfigError, match=r"account 'team' is in USD in the shared store, .* another name"):
        store.register("r2", tree)
    store.sync("r1", [ask(sequence=2, lease=1, granted=1_000, leave=True)])
    store.register("r2", tree)  # it holds nothing, so that nothing is misread
    store.register("r3", TREE)


def test_a_limit_that_was_set_outlives_a_restart_with_the_same_configuration(store):
    store.set_limit(TREE.by_name[ALL], 77)
    store.register("r2", TREE)
    (answer,) = store.sync("r2", [ask(account=ALL, limit=10_000, window=HOUR)])
    assert answer.limit == 77


def test_replicas_at_once_never_take_more_than_there_is(kind, address, tmp_path):
    if kind == "memory":
        pytest.skip("it is for one thread")
    stores = [open_shared(address, tmp_path, Clock()) for _ in range(4)]

    def work(number) -> None:
        stores[number].register(f"r{number}", TREE)
        ledger = Leased(TREE, stores[number], f"r{number}", Clock(), Terms())
        for query in range(25):
            ledger.exchange()
            try:
                held = ledger.reserve(f"{number}/{query}", Amount(20), "a")
            except BudgetExceeded:
                pass
            else:
                ledger.settle(held, Amount(15))
        ledger.exchange()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for found in books(stores[0]).values():
        assert (found.problems, found.over, found.breached) == ([], 0, 0)
    assert books(stores[0])["team"].spent > 0
    for store in stores:
        store.close()


def test_an_exchange_of_any_number_of_accounts_is_five_statements(kind, store):
    if kind == "memory":
        pytest.skip("it has none")
    store.sync("r1", [ask()])
    before = store.statements
    asks = [ask(sequence=2, want=10), ask(account=ALL, limit=10_000, window=HOUR, sequence=2, want=10)]
    store.sync("r1", asks)
    assert store.statements - before == 5
    store.changes()
    assert store.statements - before == 6


@pytest.mark.postgres
def test_a_store_that_is_not_there_is_an_error_that_names_it(tmp_path):
    store = open_shared("postgresql://nobody@127.0.0.1:1/none", tmp_path, Clock())
    with pytest.raises(StoreError, match=r" postgresql://127\.0\.0\.1:1/none: .*connection"):
        store.changes()
    (tmp_path / "x").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="x: file is not a database"):
        open_shared("x", tmp_path, Clock()).changes()


def test_what_is_carried_over_of_old_movements_adds_up_with_those_that_stay(store, monkeypatch):
    monkeypatch.setattr("router.ledger.sql.CARRIED_AT_ONCE", 7)  # in several parts
    ledgers = [Leased(TREE, store, name, lambda: 0.0) for name in ("r1", "r2")]

    def spend(prefix: str) -> None:
        for number in range(12):
            ledger = ledgers[number % 2]
            ledger.exchange()
            ledger.settle(ledger.reserve(f"{prefix}{number}", Amount(50), "a"), Amount(20 + number))
            ledger.exchange()

    spend("before")
    before = books(store)
    assert before["team"].problems == [] and before["team"].spent == sum(range(20, 32))
    while store.carry_over(-1.0):
        pass
    assert books(store) == before
    if hasattr(store, "look"):
        _, movements, carried = store.look()
        assert movements == [] and carried.keys() == {ALL, "team"}
    spend("after")
    after = books(store)
    assert {name: found.problems for name, found in after.items()} == {ALL: [], "team": []}
    assert after["team"].spent == 2 * before["team"].spent
    assert after["team"].movements > before["team"].movements
    assert not store.carry_over(3600.0)  # what is young stays


def test_a_sum_that_was_changed_is_found(store):
    if not hasattr(store, "look"):
        pytest.skip("nothing is carried over in memory")
    store.sync("r1", [ask(need=3_000)])
    store.sync("r1", [ask(sequence=2, lease=1, granted=3_000, spent=200)])
    while store.carry_over(-1.0):
        pass
    assert books(store)["team"].problems == []
    states, movements, carried = store.look()
    for change in ({"spent": 199}, {"granted": 2_999}, {"limit": 4_001}):
        changed = replace(carried["team"], found=replace(carried["team"].found, **change))
        (found,) = (
            one for one in audit(states, movements, {**carried, "team": changed}) if one.account == "team"
        )
        assert found.problems

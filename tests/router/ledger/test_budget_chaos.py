"""Overspend is exactly 0: random schedules of replicas that die, are cut off, return, hear late; limits, prices, clocks.

Virtual time, the real ledger, the real store's logic. A schedule is its seed, so that one that fails can be played
again. `APPORTION_SCHEDULES` says how many (default 500); `make budget-chaos` plays 10,000.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from router.errors import BudgetExceeded, StoreError
from router.ledger import ALL, Amount, Reservation
from router.ledger.accounts import TOKENS, Account, Accounts
from router.ledger.audit import audit, compare_charges
from router.ledger.leased import Leased, Terms
from router.ledger.shared import Memory
from router.ledger.state import CLOCK_STEP_S
from router.ledger.window import Window

SCHEDULES = int(os.environ.get("APPORTION_SCHEDULES", "500"))
PARTS = 10  # of the schedules, each a test
STEPS = 100
REPLICAS = 8
TERMS = Terms(request_s=30.0, lease_s=120.0, horizon_s=36.0, remember_s=60.0)
ACCOUNTS = (
    Account(ALL, 60_000, Window("rolling", 600.0), within=""),
    Account("research", 40_000, Window("hour")),
    Account("team", 20_000, Window("rolling", 200.0), within="research", tenants=("a",)),
    Account("words", 12_000_000_000, Window("day"), unit=TOKENS, tenants=("b",)),
)
TENANTS = ("a", "b", "c")


class Link(Memory):
    """The store as one replica reaches it, or not."""

    immediate = False

    def __init__(self, shared: Memory) -> None:
        self.shared, self.state = shared, "up"
        self.sent: list[Any] = []

    def sync(self, replica, asks) -> Any:
        if self.state == "cut":
            raise StoreError("cut off")
        answers = self.shared.sync(replica, asks)
        self.sent.append((replica, asks))
        if self.state == "deaf":
            raise StoreError("the reply was lost")
        return answers

    def again(self, number) -> None:
        """An earlier request arrives once more, as from a connection that hung."""
        if self.sent:
            self.shared.sync(*self.sent[number % len(self.sent)])


HAPPENS = Counter(
    reserve=30, settle=20, never_settle=2, renew=8, all_renew=3, partition=4, hear_an_old_request=3, kill=2,
    drain=2, wait=14, the_stores_clock_steps=2, another_price=2, another_limit=3,
)  # fmt: skip


@dataclass
class InFlight:
    held: Reservation
    ends: float
    abandoned: bool = False  # never settled


@dataclass
class Replica:
    name: str
    ledger: Leased
    link: Link
    open: list[InFlight] = field(default_factory=list)
    charged: int = 0  # micro-dollars


def finished(coroutine) -> Any:
    """What a coroutine returns that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


class Schedule:
    """True spending is kept apart from all books: when, in which accounts, how much."""

    def __init__(self, seed) -> None:
        self.rng = random.Random(seed)
        self.now = 1_700_000_000.0  # true time, and every monotonic clock's
        self.step = 0.0  # of the store's clock
        self.stepped = 0.0  # when it jumped ahead
        self.latest = 0.0  # store time that was ever seen
        self.store = Memory(self.store_clock)
        self.store.movements = []
        self.tree = Accounts(ACCOUNTS)
        self.store.register("first", self.tree)
        # (leaves at, amount)
        self.spent: dict[str, list[tuple[float, int]]] = {name: [] for name in self.tree.by_name}
        self.ceiling = dict.fromkeys(self.tree.by_name, 0)
        self.price = 3
        self.born = self.asked = 0
        self.seen: Counter[str] = Counter()
        self.dead: dict[str, int] = {}  # name -> micro-dollars that it had charged
        self.replicas = [self.birth() for _ in range(REPLICAS)]

    def store_clock(self) -> Any:
        self.latest = max(self.latest, self.now + self.step)
        return self.now + self.step

    def birth(self) -> Any:
        self.born += 1
        link = Link(self.store)
        name = f"r{self.born}"
        ledger = Leased(self.tree, link, name, lambda: self.now, TERMS)
        replica = Replica(name, ledger, link)

        async def fetch() -> None:
            self.exchange(replica)

        ledger.fetch = fetch
        self.exchange(replica)
        return replica

    def exchange(self, replica) -> None:
        try:
            replica.ledger.exchange()
        except StoreError as error:
            replica.ledger.lost_store(str(error))

    def end_of_time(self) -> None:
        """What is not settled when its time is over was, for all that anybody knows, spent by then."""
        for replica in self.replicas:
            for entry in [entry for entry in replica.open if entry.ends <= self.now]:
                replica.open.remove(entry)
                self.really_spend(replica, entry.held, entry.held.amount)

    def really_spend(self, replica, reservation, used) -> None:
        at = max(self.latest, self.now + self.step)
        for name in reservation.accounts:
            account = self.tree.by_name[name]
            self.spent[name].append((account.window.leaves(at), account.measure()(used)))
        replica.charged += used.micros

    # ------------------------------------------------------------------------------------------- what may happen

    def one(self) -> Any:
        return self.rng.choice(self.replicas)

    def reserve(self) -> None:
        replica, tokens = self.one(), self.rng.randint(0, self.rng.choice((50, 300, 700)))
        self.asked += 1
        worst = Amount(tokens * self.price, tokens)
        try:
            held = finished(replica.ledger.obtain(f"q{self.asked}", worst, self.rng.choice(TENANTS)))
        except BudgetExceeded:
            self.seen["refused"] += 1
        else:
            replica.open.append(InFlight(held, self.now + TERMS.request_s))
            self.seen["reserved"] += 1

    def settle(self) -> None:
        replica = self.one()
        mine = [entry for entry in replica.open if not entry.abandoned]
        if not mine:
            return
        entry = self.rng.choice(mine)
        replica.open.remove(entry)
        held, worst = entry.held, entry.held.amount
        share = self.rng.choice((0.0, self.rng.random(), 1.0))
        used = Amount(int(worst.micros * share), int(worst.tokens * share))  # at the price of its reservation
        assert replica.ledger.settle(held, used) == used
        replica.ledger.settle(held, worst)  # a second time: nothing
        self.really_spend(replica, held, used)

    def never_settle(self) -> None:
        replica = self.one()
        if replica.open:
            replica.open[-1].abandoned = True

    def renew(self) -> None:
        self.exchange(self.one())

    def all_renew(self) -> None:
        for replica in self.replicas:
            self.exchange(replica)

    def partition(self) -> None:
        self.one().link.state = self.rng.choice(("up", "up", "cut", "deaf"))

    def hear_an_old_request(self) -> None:
        self.one().link.again(self.rng.randrange(1000))

    def kill(self) -> None:
        """What was in flight is spent by the backends all the same."""
        replica = self.one()
        for entry in replica.open:
            self.really_spend(replica, entry.held, entry.held.amount)
        self.dead[replica.name] = replica.charged
        self.replicas[self.replicas.index(replica)] = self.birth()

    def drain(self) -> None:
        replica = self.one()
        replica.link.state = "up"
        self.settle_all(replica)
        self.leave(replica)
        self.dead[replica.name] = replica.charged
        self.replicas[self.replicas.index(replica)] = self.birth()

    def wait(self) -> None:
        until = self.now + self.rng.random() * self.rng.choice((1.0, 5.0, 60.0, 300.0, 4000.0))
        while self.now < until:
            ends = [entry.ends for replica in self.replicas for entry in replica.open]
            self.now = min([until, *ends])
            self.end_of_time()

    def the_stores_clock_steps(self) -> None:
        """Back as it likes; ahead by less than `CLOCK_STEP_S` during a lease."""
        if self.rng.random() < 0.5:
            self.step -= self.rng.uniform(0, 4000)
        elif self.store_clock() >= self.latest and self.now > self.stepped + TERMS.lease_s:
            self.stepped = self.now
            self.step += self.rng.uniform(0, CLOCK_STEP_S)

    def another_price(self) -> None:
        self.price = self.rng.randint(1, 9)

    def another_limit(self) -> None:
        account = self.rng.choice(ACCOUNTS)
        state = self.store.states[account.name]
        self.store.set_limit(
            account, int((account.limit or 0) * self.rng.choice((0.0, 0.3, 1.0, self.rng.random())))
        )
        self.ceiling[account.name] = max(self.ceiling[account.name], state.booked + state.held)

    def play(self) -> None:
        names, weights = zip(*HAPPENS.items(), strict=True)
        for name in self.rng.choices(names, weights, k=STEPS):
            getattr(self, name)()
            self.nothing_is_overspent()
        self.end()

    # ------------------------------------------------------------------------------------------ what must be true

    def settle_all(self, replica) -> None:
        for entry in replica.open:
            replica.ledger.settle(entry.held, entry.held.amount)
            self.really_spend(replica, entry.held, entry.held.amount)
        replica.open = []

    def leave(self, replica) -> None:
        asks = replica.ledger.asks(leave=True)
        replica.ledger.hear(asks, self.store.sync(replica.name, asks), self.now)

    def nothing_is_overspent(self) -> None:
        at = max(self.latest, self.now + self.step)
        for name, entries in self.spent.items():
            entries[:] = [entry for entry in entries if entry[0] > at]
            total, state = sum(amount for _, amount in entries), self.store.states[name]
            limit = state.limit or 0
            if state.booked + state.held <= limit:
                self.ceiling[name] = 0  # a lowered limit is reached
            assert total <= max(limit, self.ceiling[name]), f"{name}: {total} spent of {limit}"

    def end(self) -> None:
        for replica in self.replicas:
            replica.link.state = "up"
            self.settle_all(replica)
            self.leave(replica)
        for found in audit(self.store.states, self.store.movements or ()):
            assert found.problems == []
            assert (found.breached, found.allowed, found.over) == (0, 0, 0)
            if found.account == ALL:
                charged = {replica.name: replica.charged for replica in self.replicas}
                assert compare_charges(found, charged | self.dead) == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_overspends_a_micro_unit(part):
    seen: Counter[str] = Counter()
    for seed in range(part, SCHEDULES, PARTS):
        schedule = Schedule(seed)
        try:
            schedule.play()
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
        seen += schedule.seen
    assert seen["reserved"] > 0 < seen["refused"]  # the schedules are about something

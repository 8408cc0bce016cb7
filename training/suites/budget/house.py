"""The replicas of a simulation: a real ledger, real prices and the real rule each, over one store in memory.

The ledger is renewed as `router.ledger.renewal` does it, by events instead of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from router.domain.choice import Forecast, Situation
from router.domain.plan import Plan, Stage
from router.errors import BudgetExceeded, StoreError
from router.ledger import ALL, Amount, Reservation
from router.ledger.accounts import Account, Accounts
from router.ledger.leased import Leased, Terms
from router.ledger.shared import Memory
from router.ledger.state import Answer, Ask
from router.ledger.window import Kind, Window
from router.open_ledger import LEASE_BEYOND_S
from router.policies.utility import best
from router.pricing.accounts import Prices
from router.pricing.hours import NO_QUERIES, Typical
from router.selectors.first import First
from router.stopping.never import Never
from training.suites.budget.world import World

CHOICES = 2  # of a plan: once more where the store had less than the replica knew, as the allocator does


class Shared(Memory):
    """The store in memory, which may be away; `immediate` only for one replica alone."""

    def __init__(self, wall_s: Callable[[], float], *, immediate: bool) -> None:
        super().__init__(wall_s)
        self.immediate, self.away = immediate, False

    def sync(self, replica: str, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        """As `Memory`; raises `StoreError` while it is away."""
        if self.away:
            raise StoreError("the simulated store is away")
        return super().sync(replica, asks)

    def changes(self) -> int:
        """As `Memory`; raises `StoreError` while it is away."""
        if self.away:
            raise StoreError("the simulated store is away")
        return super().changes()


@dataclass(slots=True)
class Clock:
    """Virtual seconds since the epoch; also monotonic."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@dataclass(frozen=True, slots=True)
class Menu:
    """The forecasts of every query of a world, with their worst cases."""

    forecasts: tuple[tuple[Forecast, ...], ...]  # by query

    @classmethod
    def of(cls, world: World, worst_over_mean: float) -> Menu:
        """The worst case of a plan: so many times its mean, and no less than was ever recorded of it."""
        worst = [
            max(math.ceil(worst_over_mean * mean), int(most))
            for mean, most in zip(world.paid.mean(axis=0), world.paid.max(axis=0), strict=True)
        ]
        plans = [Plan(name, (Stage(name, Never(), First()),)) for name in world.plans]
        return cls(
            tuple(
                tuple(
                    Forecast(plan, quality, cost, 0.0, most)
                    for plan, quality, cost, most in zip(plans, row, costs, worst, strict=True)
                )
                for row, costs in zip(world.quality.tolist(), world.cost.tolist(), strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Started:
    """A query that was let in."""

    replica: Replica
    reservation: Reservation
    forecasts: tuple[Forecast, ...]
    plan: int
    price: float


@dataclass(slots=True)
class Replica:
    """One process."""

    name: str
    ledger: Leased
    prices: Prices | None  # None: the price stays as it is
    fixed: float
    seen: int = 0  # of the store's changes
    due: float = 0.0
    alive: bool = True
    asked: int = 0
    open: dict[str, Started] = field(default_factory=dict)

    def price(self) -> float:
        """What compute costs now."""
        return self.fixed if self.prices is None else self.prices.price()

    def begin(self, forecasts: tuple[Forecast, ...]) -> Started | None:
        """Choose among what can be paid, and reserve; None: refused. At a fixed price nothing cheaper takes over.

        As the allocator does: once more where the store knew of less than this replica.
        """
        self.asked += 1
        price = self.price()
        found = self._reserve(forecasts, range(len(forecasts)), price)
        if found is None and self.prices is not None:
            self.prices.refused("")
        return found

    def _reserve(self, forecasts: tuple[Forecast, ...], plans: Iterable[int], price: float) -> Started | None:
        key = f"{self.name}/{self.asked}"
        for _ in range(CHOICES if self.prices is not None else 1):
            left = self.ledger.left()
            plans = [
                at for at in plans if left is None or forecasts[at].worst_cost <= left or self.prices is None
            ]
            if not plans:
                return None
            plan = plans[best(Situation(tuple([forecasts[at] for at in plans]), {}, price, 0.0))]
            try:
                held = _now(self.ledger.obtain(key, Amount(forecasts[plan].worst_cost)))
            except BudgetExceeded:
                plans.remove(plan)
            else:
                self.open[key] = Started(self, held, forecasts, plan, price)
                return self.open[key]
        return None

    def end(self, one: Started, paid: int) -> int:
        """Settle; what was charged."""
        del self.open[one.reservation.request_id]
        used = Amount(paid)
        charged = self.ledger.settle(one.reservation, used)
        if self.prices is not None:
            self.prices.ended(
                "",
                one.forecasts,
                price=one.price,
                weight=1.0,
                latency_price=0.0,
                taken=None,
                reserved=one.reservation.amount,
                used=used,
            )
        return charged.micros

    def renew(self, now: float) -> None:
        """What `Renewal` does every `RETRY_S`."""
        self.ledger.expire()
        try:
            changes = self.ledger.store.changes()
        except StoreError as error:
            self.ledger.lost_store(str(error))
            return
        if now >= self.due or self.ledger.away or changes != self.seen:
            self.seen, self.due = changes, now + self.ledger.renew_s
            self.exchange()

    def exchange(self) -> None:
        """With the store, which may be away."""
        try:
            self.ledger.exchange()
        except StoreError as error:
            self.ledger.lost_store(str(error))


@dataclass(slots=True)
class House:
    """All replicas and what they share."""

    world: World
    limit: int
    window: Kind
    request_s: float
    fixed: float | None = None  # None: prices follow the pace
    typical: Typical = NO_QUERIES
    immediate: bool = True
    clock: Clock = field(default_factory=Clock)
    replicas: list[Replica] = field(default_factory=list)
    store: Shared = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.store = Shared(self.clock, immediate=self.immediate)

    def start(self) -> Replica:
        """A replica more."""
        self.made += 1
        accounts = Accounts([Account(ALL, self.limit, Window(self.window), within="")])
        terms = Terms(self.request_s, self.request_s + LEASE_BEYOND_S)
        ledger = Leased(accounts, self.store, f"replica-{self.made}", self.clock, terms)
        self.store.register(ledger.replica, accounts)
        prices = Prices(accounts, ledger, self.clock, typical=self.typical) if self.fixed is None else None
        replica = Replica(ledger.replica, ledger, prices, self.fixed or 0.0)
        if not self.immediate:
            ledger.fetch = _fetch(replica)
        replica.exchange()
        self.replicas.append(replica)
        return replica

    def kill(self, replica: Replica) -> list[Started]:
        """Without a word to anybody; what was in flight there."""
        replica.alive = False
        self.replicas.remove(replica)
        return list(replica.open.values())


def _fetch(replica: Replica) -> Callable[[], Coroutine[Any, Any, None]]:
    async def fetch() -> None:
        replica.exchange()

    return fetch


def _now(waiting: Coroutine[Any, Any, Reservation]) -> Reservation:
    """The result of a coroutine that awaits nothing that waits."""
    try:
        waiting.send(None)
    except StopIteration as end:
        found: Reservation = end.value
        return found
    raise RuntimeError("the simulation waited for something")

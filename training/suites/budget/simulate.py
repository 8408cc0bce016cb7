"""One window of virtual time: queries come, are chosen for, paid and settled; stores go away and replicas die."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from router.ledger import ALL
from router.ledger.hand import RETRY_S
from router.ledger.window import Kind
from training.suites.budget.house import House, Menu, Replica, Started
from training.suites.budget.scenarios import Rng, Scenario, Traffic
from training.suites.budget.world import World

REQUEST_S = 1800.0  # a query that takes longer is charged at its worst case


@dataclass(slots=True)
class Result:
    """What one window gave."""

    limit: int  # micro-dollars, at the end
    bound: int  # what may be spent: the limit, or what was spent and reserved when it was lowered below that
    spent: int = 0  # by backends, in the window
    quality: float = 0.0  # sum of rewards
    queries: int = 0
    refused: int = 0
    lost: int = 0  # queries that died with their replica
    prices: list[tuple[float, float]] = field(default_factory=list)  # (time, price), at every query

    @property
    def overspend(self) -> int:
        """Micro-dollars above what was allowed."""
        return max(0, self.spent - self.bound)


class Simulation:
    """`run` it once."""

    def __init__(
        self,
        world: World,
        menu: Menu,
        scenario: Scenario,
        traffic: Traffic,
        limit: int,
        rng: Rng,
        fixed: float | None = None,  # None: prices follow the pace
    ) -> None:
        self.world, self.menu, self.scenario, self.traffic, self.rng = world, menu, scenario, traffic, rng
        kind: Kind = "day" if scenario.window == "day" else "hour"
        self.house = House(
            world,
            limit,
            kind,
            REQUEST_S,
            fixed,
            traffic.typical,
            immediate=scenario.replicas == 1,
        )
        self.result = Result(limit, limit, queries=len(traffic.at))
        self._events: list[tuple[float, int, str, object]] = []
        self._number = 0
        self._paid: dict[str, tuple[int, float]] = {}  # by request: micro-dollars and reward, once it is done

    def run(self) -> Result:
        """Until the window ends."""
        self._fill_up()
        self._plan()
        while self._events:
            at, _, kind, what = heapq.heappop(self._events)
            if at >= self.scenario.window_s:
                break
            self.house.clock.now = at
            if kind == "query":
                assert isinstance(what, int)  # noqa: S101 (for the type checker)
                self._query(at, what)
            elif kind == "done" and isinstance(what, Started):
                self._done(what)
            elif kind == "renew" and isinstance(what, Replica):
                self._renew(at, what)
            elif kind == "kill":
                self._kill()
            elif kind == "lower":
                self._lower()
            else:
                self.house.store.away = kind == "away"
                self._fill_up()
        return self.result

    def _plan(self) -> None:
        scenario, length = self.scenario, self.scenario.window_s
        for number, at in enumerate(self.traffic.at.tolist()):
            self._add(at, "query", number)
        for share, kind in zip(scenario.away, ("away", "back"), strict=True):
            self._add(share * length, kind, None)
        for share in scenario.kills:
            self._add(share * length, "kill", None)
        if scenario.lowered is not None:
            self._add(scenario.lowered[0] * length, "lower", None)

    def _query(self, at: float, number: int) -> None:
        house, row = self.house, int(self.traffic.row[number])
        replica = house.replicas[int(self.rng.integers(len(house.replicas)))]
        self.result.prices.append((at, replica.price()))
        started = replica.begin(self.menu.forecasts[row])
        if started is None:
            self.result.refused += 1
            return
        # what is answered counts, also where the answer comes after the window's end
        self.result.quality += float(self.world.reward[row, started.plan])
        paid = int(self.world.paid[row, started.plan])
        self._paid[started.reservation.request_id] = paid, float(self.world.reward[row, started.plan])
        self._add(at + float(self.traffic.takes[number]), "done", started)

    def _done(self, one: Started) -> None:
        if one.replica.alive:
            self.result.spent += one.replica.end(one, self._paid[one.reservation.request_id][0])

    def _kill(self) -> None:
        for one in self.house.kill(self.house.replicas[0]):
            paid, reward = self._paid[one.reservation.request_id]
            self.result.spent += paid  # the backend went on
            self.result.quality -= reward
            self.result.lost += 1
        self._fill_up()

    def _lower(self) -> None:
        assert self.scenario.lowered is not None  # noqa: S101 (for the type checker: `_plan` asks)
        replica, result, share = self.house.replicas[0], self.result, self.scenario.lowered[1]
        account = replica.ledger.accounts.by_name[ALL]
        reserved = sum(
            one.reservation.amount.micros for each in self.house.replicas for one in each.open.values()
        )
        result.limit = int(result.limit * share)
        result.bound = max(result.limit, result.spent + reserved)
        self.house.store.set_limit(account, result.limit)
        for each in self.house.replicas:
            each.exchange()

    def _renew(self, at: float, replica: Replica) -> None:
        if replica.alive:
            replica.renew(at)
            self._add(at + RETRY_S, "renew", replica)

    def _fill_up(self) -> None:
        """Replicas in the place of those that died; none can start while the store is away."""
        while not self.house.store.away and len(self.house.replicas) < self.scenario.replicas:
            self._start()

    def _start(self) -> None:
        replica = self.house.start()
        if not self.house.immediate:
            self._add(self.house.clock.now + RETRY_S, "renew", replica)

    def _add(self, at: float, kind: str, what: object) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, what))

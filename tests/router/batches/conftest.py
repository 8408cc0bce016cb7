"""Batches over queries whose plans and costs a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from router.batches.batch import Batch, Item, Looked, Result
from router.batches.kept import Batches, open_batches
from router.domain.choice import Forecast
from router.domain.plan import Plan, Stage
from router.errors import BackendUnavailable, Overloaded, RouterError
from router.selectors.first import First
from router.stopping.never import Never

PLANS = [Plan(name, (Stage(name, Never(), First()),)) for name in ("small", "large")]


@dataclass
class Pretend:
    """Every query has a cheap plan and a dear one; a body says by how much the dear one is better, in percent."""

    costs: tuple[int, int] = (10, 100)  # what is forecast and charged
    worst: tuple[int, int] = (20, 200)
    charged_over_forecast: float = 1.0
    floor: float = 0.0  # quality per dollar, whatever the batch has
    refusals: int = 0  # that come first
    broken: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    asked: list[tuple[int, str]] = field(default_factory=list)  # (position, plan)
    prices: list[float] = field(default_factory=list)
    most_at_once: int = 0
    running: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def look(self, item: Item) -> Looked:
        gain = int(item.body) / 100
        qualities = (0.5, 0.5 + gain)
        forecasts = [
            Forecast(plan, quality, cost, 0.0, worst)
            for plan, quality, cost, worst in zip(PLANS, qualities, self.costs, self.worst, strict=True)
        ]
        return Looked(forecasts, self.floor)

    async def answer(self, item: Item, most: int | None, price: float, time_left_s: float | None) -> Result:
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("too much", 0.001)
        if self.broken:
            raise BackendUnavailable("gone")
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.entered.release()
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        cheap, dear = self.look(item).forecasts
        fits = most is None or dear.worst_cost <= most
        assert dear.quality is not None and cheap.quality is not None
        price = max(price, self.floor)
        better = dear.quality - price * dear.cost / 1e6 > cheap.quality - price * cheap.cost / 1e6
        taken = dear if fits and better else cheap
        cost = min(int(taken.cost * self.charged_over_forecast), taken.worst_cost)
        self.asked.append((item.position, taken.plan.name))
        self.prices.append(price)
        return Result(item.position, item.body, cost=cost)

    def failure(self, item: Item, error: Exception) -> Result:
        assert isinstance(error, RouterError)
        return Result(item.position, str(error).encode(), failed=True)


@pytest.fixture
def pretend() -> type[Pretend]:
    return Pretend


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Batches]:
    found = open_batches("budgets.db", tmp_path, lambda: 1000.0)
    yield found
    found.close()


@pytest.fixture
def add(kept: Batches) -> Callable[..., Batch]:
    """Keeps a batch of queries with these gains (percent)."""

    def make(
        gains: Sequence[int],
        budget: int | None = None,
        batch_id: str = "b",
        finish_by: float | None = None,
    ) -> Batch:
        bodies = [str(gain).encode() for gain in gains]
        return kept.add(Batch(batch_id, "acme", len(bodies), budget, finish_by), b"digest", bodies)

    return make

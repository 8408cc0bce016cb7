"""One batch, worked off: a price for all that is left of it, set anew before every query; its money is never exceeded.

Of the money that is free, a query may take the worst case of its dearest plan that still leaves what the cheapest
plans of the others take; it is held until the query is over. Where no plan fits what is free while others run, or not
the one that is worth most at the price (in a batch that has time), it waits for them; where none run, it stays
unanswered, and shorter queries behind it may still fit. So does a query for which its tenant's own budget has nothing:
the batch is worked off again when there may be some.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from router.batches.batch import Asked, Batch, BatchState, Cut, Item, Looked, Result
from router.batches.kept import Batches
from router.batches.price import BatchPrice
from router.domain.choice import Forecast
from router.errors import BudgetExceeded, DeadlineExceeded, RouterError
from router.pricing.offers import Offer, offer_of_forecasts

AT_ONCE = 16  # queries of a batch
SAMPLED = 256  # queries that are looked at before the first is asked
ATTEMPTS = 4
LONGEST_WAIT_S = 60.0  # before asking again


@dataclass(slots=True)
class Work:
    """`run` it once."""

    batch: Batch  # as it was when
    items: Sequence[Item]  # these were waiting
    kept: Batches
    asked: Asked
    wall_s: Callable[[], float]
    at_once: int = AT_ONCE
    _items: deque[Item] = field(init=False)
    _price: BatchPrice | None = None
    _spent: int = 0
    _held: int = 0
    _running: int = 0
    _exhausted: bool = False
    # when the tenant may have money for what it had none for; None: it had for all
    pause_s: float | None = None
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> BatchState:
        """Until every query has a result, or no plan fits the money for those that have none. Cancel it to stop.

        RUNNING: some wait for their tenant's budget, for about `pause_s`.
        """
        self._spent, self._items = self.batch.spent, deque(self.items)
        if self.batch.budget is not None:
            self._price = await self._priced()
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.at_once, len(self._items))):
                group.create_task(self._worker())
        if self.pause_s is not None:
            return BatchState.RUNNING
        return BatchState.EXHAUSTED if self._exhausted else BatchState.DONE

    async def _priced(self) -> BatchPrice:
        """From a sample of what waits; each look takes a moment, so that others are let in between."""
        picked = random.Random(self.batch.batch_id).sample(self._items, min(SAMPLED, len(self._items)))
        offers = []
        for item in picked:
            with contextlib.suppress(RouterError):  # it will be told when its turn comes
                offers.append(_offer(self.asked.look(item).forecasts))
            await asyncio.sleep(0)
        return BatchPrice(offers, len(self._items) + len(offers))

    async def _worker(self) -> None:
        while self._items:
            item = self._items.popleft()
            try:
                result = await self._one(item)
            except RouterError as error:
                result = self.asked.failure(item, error)
            except Exception as error:  # noqa: BLE001 (asked again and again it would take the others' money)
                result = self._broken(item, error, 0)
            if result is None:
                await asyncio.sleep(0)  # a look takes a moment: others are let in between
                continue
            await asyncio.to_thread(self.kept.finish, self.batch.batch_id, result)

    async def _one(self, item: Item) -> Result | None:
        """Its result; None: there is no money for it. Raises `RouterError` where asking again did not help."""
        for attempt in range(1, ATTEMPTS + 1):
            left = self._time_left_s()
            if left is not None and left <= 0:
                raise DeadlineExceeded("the batch was to be finished before this query began")
            try:
                looked = self.asked.look(item)
                most = await self._room(looked)
                if most is None and self.batch.budget is not None:
                    self._exhausted = True
                    return None
                return await self._ask(item, most, looked.forecasts)
            except RouterError as error:
                wait_s: float | None = getattr(error, "retry_after_s", None)
                if wait_s is None:
                    raise
                poor = isinstance(error, BudgetExceeded)
                if poor and (attempt == ATTEMPTS or self.pause_s is not None):
                    self.pause_s = wait_s if self.pause_s is None else min(wait_s, self.pause_s)
                    return None
                if attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _ask(self, item: Item, most: int | None, forecasts: Sequence[Forecast]) -> Result:
        price, cost = 0.0, 0
        self._running += 1
        if self._price is not None and self.batch.budget is not None:
            # what runs is part of what is left to do: it will not cost what is held for it
            price = self._price.now(self.batch.budget - self._spent, len(self._items) + self._running)
        try:
            if most is not None:
                await asyncio.to_thread(self.kept.begin, self.batch.batch_id, item.position, most)
            result = await self.asked.answer(item, most, price, self._time_left_s())
            cost = result.cost
            if self._price is not None:
                self._price.paid(_offer(forecasts), price, cost)
            return result
        except RouterError:  # before anything was drawn
            if most is not None:
                await asyncio.to_thread(self.kept.begin, self.batch.batch_id, item.position, 0)
            raise
        except Cut as cut:
            await asyncio.to_thread(self.kept.cut, self.batch.batch_id, item.position, most or 0, cut.cost)
            raise
        except Exception as error:  # noqa: BLE001 (what it has cost by then is not known)
            cost = most or 0
            return self._broken(item, error, cost)
        finally:
            async with self._freed:
                self._held -= most or 0
                self._spent += cost
                self._running -= 1
                self._freed.notify_all()

    def _broken(self, item: Item, error: Exception, cost: int) -> Result:
        structlog.get_logger().error(
            "a query of a batch failed", batch=self.batch.batch_id, position=item.position, exc_info=error
        )
        return replace(self.asked.failure(item, error), cost=cost)

    async def _room(self, looked: Looked) -> int | None:
        """Micro-dollars, held from now on; None where there is no budget, or too little of it is left."""
        if self.batch.budget is None:
            return None
        price = 0.0
        if self._price is not None:
            left = self.batch.budget - self._spent
            price = max(looked.price, self._price.now(left, len(self._items) + self._running + 1))
        async with self._freed:
            while True:
                free = self.batch.budget - self._spent - self._held
                others = self._price.least * len(self._items) if self._price else 0.0
                fitting = [one.worst_cost for one in looked.forecasts if one.worst_cost <= free]
                if fitting:
                    most = max([worst for worst in fitting if worst <= free - others], default=min(fitting))
                    if not self._held or most >= self._wanted(looked, price, free + self._held - others):
                        self._held += most
                        return most
                elif not self._held:
                    return None
                await self._freed.wait()

    def _wanted(self, looked: Looked, price: float, room: float) -> int:
        """The worst case of the best plan that fits the room once nothing runs; 0: it is not waited for.

        Worst cases may be a hundred times what is charged: what is held for others is soon free again.
        """
        if self.batch.finish_by is not None:
            return 0
        worth = [
            (one.quality - price * one.cost * 1e-6, -one.worst_cost)
            for one in looked.forecasts
            if one.quality is not None and one.worst_cost <= room
        ]
        return -max(worth)[1] if worth else 0

    def _time_left_s(self) -> float | None:
        return None if self.batch.finish_by is None else self.batch.finish_by - self.wall_s()


def _offer(forecasts: Sequence[Forecast]) -> Offer:
    return offer_of_forecasts(forecasts, 1.0, 0.0, None)

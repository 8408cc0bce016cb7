"""What a batch is: its queries' bytes as the door gave them, its money, how far it is."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from router.domain.choice import Forecast


class BatchState(enum.StrEnum):
    """RUNNING until one of the others."""

    RUNNING = "running"
    DONE = "done"  # every query has a result
    CANCELLED = "cancelled"
    EXHAUSTED = "exhausted"  # no plan of what is left fits the money that is left


@dataclass(frozen=True, slots=True)
class Batch:
    """Money is micro-dollars, times are seconds since the epoch."""

    batch_id: str
    tenant: str
    total: int  # queries
    budget: int | None = None  # None: what the tenant has
    finish_by: float | None = None  # what has not begun by then fails
    created_at: float = 0.0
    state: BatchState = BatchState.RUNNING
    done: int = 0  # queries with an answer,
    failed: int = 0  # with an error
    spent: int = 0  # an attempt that a crash cut off counts with all that it might have cost, others with what they did


@dataclass(frozen=True, slots=True)
class Item:
    """One query, not answered yet."""

    position: int  # in the batch, from 0
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a query."""

    position: int
    body: bytes = field(repr=False)
    failed: bool = False
    cost: int = 0  # micro-dollars
    number: int = 0  # results of a batch are numbered from 1 as they come


class Cut(asyncio.CancelledError):
    """A query was left in the middle; `cost` is what it was charged, in micro-dollars."""

    def __init__(self, cost: int) -> None:
        super().__init__()
        self.cost = cost


@dataclass(frozen=True, slots=True)
class Looked:
    """What a query may have now."""

    forecasts: Sequence[Forecast]  # of the plans that are feasible, with their worst costs
    price: float = 0.0  # quality per dollar, >= 0: what compute costs its tenant now; the batch may say more


class Asked(Protocol):
    """How a batch's queries are asked; bodies are the door's own."""

    def look(self, item: Item) -> Looked:
        """The plans that a query may have now. Raises `RouterError`."""
        ...

    async def answer(self, item: Item, most: int | None, price: float, time_left_s: float | None) -> Result:
        """Answer it for at most `most` micro-dollars at a price (quality per dollar) or a higher one.

        Raises `RouterError` where asking again may help; other errors are results. Cancelled it raises `Cut` where it
        knows what it has cost.
        """
        ...

    def failure(self, item: Item, error: Exception) -> Result:
        """An error as a result."""
        ...

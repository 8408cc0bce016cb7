"""What a measurement says it has written is in the store, however slow the store is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from router.decisions.sqlite import SQLite
from router.errors import StoreError
from training.store_bench import fill as filling
from training.store_bench.made_rows import Traffic


class Slow:
    """A store that commits five rows in the time of one report."""

    def __init__(self) -> None:
        self.health = SimpleNamespace(committed=0, away="")

    async def report(self, outcomes: tuple[()]) -> None:
        self.health.committed += 5


def test_a_slow_store_is_waited_for_until_its_queue_has_room(monkeypatch):
    monkeypatch.setattr(filling, "MOST_WAITING", 10)
    store: Any = Slow()
    asyncio.run(filling.room(store, 100))
    assert store.health.committed == 90


def test_a_store_that_dropped_rows_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(filling, "opened", lambda address, aside: SQLite.open(address, max_queued=10))
    with pytest.raises(StoreError, match="of 300 rows are in the store"):
        filling.fill(str(tmp_path / "rows.db"), tmp_path / "aside", Traffic(), 300, lambda done: None)

"""Rows as they are logged, through a real server."""

from __future__ import annotations

import asyncio
from typing import Any


async def watching(house: Any, tenant: str = "") -> tuple[asyncio.Task[None], asyncio.Queue[Any]]:
    """A task that gathers rows, begun: the first row that it sees is one of its own."""
    seen: asyncio.Queue[Any] = asyncio.Queue()

    async def gather() -> None:
        async for row in house.admin.watch(tenant):
            seen.put_nowait(row)

    onlookers = house.service.allocator.books.onlookers
    before, task = len(onlookers), asyncio.create_task(gather())
    while len(onlookers) == before:  # noqa: ASYNC110 (the server says nothing when it begins to look)
        await asyncio.sleep(0.01)
    return task, seen


async def test_every_row_is_seen_as_it_is_logged(house):
    task, seen = await watching(house)
    replies = [await house.client.generate(f"question {number}") for number in range(3)]
    rows = [await asyncio.wait_for(seen.get(), 10) for _ in replies]
    task.cancel()
    assert [row.decision_id for row in rows] == [reply.decision_id for reply in replies]


async def test_one_tenants_rows_alone(house):
    task, seen = await watching(house, "acme")
    await house.client.generate("of another", tenant="other")
    mine = await house.client.generate("of mine", tenant="acme")
    row = await asyncio.wait_for(seen.get(), 10)
    task.cancel()
    assert (row.decision_id, seen.empty()) == (mine.decision_id, True)


async def test_who_leaves_is_forgotten(house):
    onlookers = house.service.allocator.books.onlookers
    before = len(onlookers)
    task, _ = await watching(house)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    while len(onlookers) > before:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.01)
    assert (await house.client.generate("still answered")).text

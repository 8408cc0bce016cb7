"""Whole replies that are asked for close together are worked off in a row, each for itself; streams wait for nobody."""

from __future__ import annotations

import asyncio

import pytest

from router.admission.coalescing import MOST, Coalescer


@pytest.fixture
async def coalescer() -> Coalescer:
    """In a crowd: whoever comes waits until a whole row is there."""
    coalescer = Coalescer(3600.0)
    await asyncio.gather(coalescer.take(), coalescer.take())
    await asyncio.sleep(0)
    return coalescer


async def test_they_wait_for_a_row_and_one_that_fails_fails_alone(house):
    row = [
        asyncio.create_task(house.post(model="broken" if number == 3 else "story"))
        for number in range(MOST - 1)
    ]
    while house.admission.queries < MOST - 1:  # noqa: ASYNC110 (the door has no event for tests)
        await asyncio.sleep(0.01)
    assert not any(one.done() for one in row) and not await house.rows()
    last = await house.post()
    statuses = [response.status for response in await asyncio.gather(*row)]
    assert (last.status, statuses) == (200, [503 if number == 3 else 200 for number in range(MOST - 1)])
    assert len(await house.rows()) == MOST


async def test_a_stream_waits_for_nobody(house):
    waits = asyncio.create_task(house.post())
    while not house.admission.queries:  # noqa: ASYNC110 (the same)
        await asyncio.sleep(0.01)
    response = await house.post(stream=True)
    assert response.status == 200 and b"[DONE]" in await response.read()
    assert not waits.done()
    waits.cancel()

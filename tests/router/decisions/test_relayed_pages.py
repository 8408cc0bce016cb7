"""A worker's end of the store: what is too large for one message goes in several."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator

import pytest

from router.decisions.memory import Memory
from router.decisions.relay import Relay
from router.decisions.relayed import Relayed
from training.store_bench.made_rows import Traffic

LARGEST = 50_000


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relayed]:
    monkeypatch.setattr("router.decisions.relay.LARGEST", LARGEST)
    monkeypatch.setattr("router.decisions.relayed.LARGEST", LARGEST)
    owner, end = socket.socketpair()
    relay, found = Relay(Memory()), Relayed(end, lambda: None)
    await relay.serve(owner)
    yield found
    async with asyncio.timeout(5.0):
        await found.close()
    await relay.close()


async def test_rows_of_one_moment_and_a_page_of_them_may_be_larger_than_a_message(worker):
    made = Traffic(1)
    rows = [dataclasses.replace(made.decision(n), query_text="x" * 9_000) for n in range(20)]
    async with asyncio.timeout(5.0):
        for row in rows:
            worker.record(row)
        seen, token = list[str](), ""
        while True:
            page = await worker.decisions(20, token)
            seen += [row.decision_id for row in page.decisions]
            token = page.next_token
            if not token:
                break
    assert sorted(seen) == sorted(row.decision_id for row in rows)
    assert worker.dropped == 0


async def test_a_row_that_fits_no_message_is_dropped_alone_and_counted(worker):
    made = Traffic(1)
    async with asyncio.timeout(5.0):
        worker.record(dataclasses.replace(made.decision(0), query_text="x" * LARGEST))
        worker.record(made.decision(1))
        found = (await worker.decisions(10)).decisions
    assert [row.decision_id for row in found] == [made.decision_id(1)]
    assert worker.dropped == 1

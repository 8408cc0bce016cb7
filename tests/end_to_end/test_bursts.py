"""Thousands of calls in one moment: each is answered, or refused by our admission, none by what is below it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from router.client import ApportionError, Client

CALLS, CONNECTIONS = 2500, 8
CONFIG = """
[store]
sqlite = ":memory:"
[backends.small]
kind = "scripted"
script = ["4"]
[[plans]]
name = "small"
stages = [{ backend = "small" }]
"""


@pytest.mark.timeout(180)
async def test_a_burst_is_answered_or_shed_and_nothing_else(tmp_path, server_of):
    config = tmp_path / "router.toml"
    config.write_text(CONFIG)
    server, seen = server_of(config), Counter[str]()
    assert server.router, server.log
    clients = [Client(server.router, timeout_s=120.0) for _ in range(CONNECTIONS)]

    async def one(number: int) -> None:
        try:
            await clients[number % CONNECTIONS].decide(f"{number} + 2?", retries=0)
        except ApportionError as error:
            seen[f"{error.status} {error.reason}"] += 1
        else:
            seen["OK"] += 1

    try:
        await asyncio.gather(*(one(number) for number in range(CALLS)))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    assert seen.total() == CALLS
    assert set(seen) <= {"OK", "RESOURCE_EXHAUSTED OVERLOAD"}
    assert seen["OK"] > CALLS // 10

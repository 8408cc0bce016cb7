"""Whoever begins first gives the answer; the other is cut and cleans up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from router.backends.hedged import Attempt, hedged

LATE = 0.01


class Server:
    """Begins when it is told to, then says its items; knows whether it was closed before its end."""

    def __init__(self, *items: str, error: Exception | None = None, began: bool = False) -> None:
        self.items, self.error = items, error
        self.go, self.waits = asyncio.Event(), asyncio.Event()
        self.asked = self.closed = self.ended = False
        if began:
            self.go.set()

    def attempt(self) -> Attempt[str]:
        self.asked = True
        begins = asyncio.Event()

        async def stream() -> AsyncGenerator[str, None]:
            try:
                self.waits.set()
                await self.go.wait()
                if self.error is not None:
                    raise self.error
                begins.set()
                for item in self.items:
                    yield item
                self.ended = True
            finally:
                self.closed = not self.ended

        return Attempt(stream(), begins)


async def answers(first: Server, second: Server | None, after_s: float = LATE) -> list[str]:
    asked = None if second is None else second.attempt
    stream = hedged(first.attempt(), lambda: None if asked is None else asked(), after_s)
    async with aclosing(stream) as items:
        return [item async for item in items]


async def test_a_server_that_begins_in_time_is_the_only_one_asked():
    first, second = Server("a", "b", began=True), Server("x", began=True)
    assert await answers(first, second, 30.0) == ["a", "b"]
    assert not second.asked


async def test_the_second_answers_where_the_first_says_nothing_and_the_first_is_closed():
    first, second = Server("a"), Server("x", "y", began=True)
    assert await answers(first, second) == ["x", "y"]
    assert first.closed


async def test_the_first_answers_where_it_begins_before_the_second_after_all():
    first, second = Server("a"), Server("x")
    asyncio.get_running_loop().call_later(3 * LATE, first.go.set)
    assert await answers(first, second) == ["a"]
    assert second.asked
    assert second.closed


async def test_where_there_is_no_second_the_first_is_waited_for():
    first = Server("a")
    asyncio.get_running_loop().call_later(3 * LATE, first.go.set)
    assert await answers(first, None) == ["a"]


async def test_a_second_that_fails_leaves_the_field_to_the_first():
    first, second = Server("a"), Server(error=ValueError("second"), began=True)
    asyncio.get_running_loop().call_later(3 * LATE, first.go.set)
    assert await answers(first, second) == ["a"]


async def test_a_first_that_fails_late_leaves_the_field_to_the_second():
    first, second = Server(error=ValueError("first")), Server("x")
    loop = asyncio.get_running_loop()
    loop.call_later(3 * LATE, first.go.set)
    loop.call_later(6 * LATE, second.go.set)
    assert await answers(first, second) == ["x"]


async def test_a_first_that_fails_at_once_is_told_without_asking_another():
    first, second = Server(error=ValueError("first"), began=True), Server("x", began=True)
    with pytest.raises(ValueError, match="first"):
        await answers(first, second, 30.0)
    assert not second.asked


async def test_where_both_fail_the_first_ones_error_is_told():
    first, second = Server(error=ValueError("first")), Server(error=ValueError("second"), began=True)
    asyncio.get_running_loop().call_later(3 * LATE, first.go.set)
    with pytest.raises(ValueError, match="first"):
        await answers(first, second)


async def test_closing_it_closes_both():
    first, second = Server("a"), Server("x")
    task = asyncio.create_task(answers(first, second))
    await second.waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.closed
    assert second.closed

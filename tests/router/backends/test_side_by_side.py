"""Streams side by side: width kept, failures last, everything cleaned up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest

from router.backends.side_by_side import side_by_side
from router.errors import BackendUnavailable, PluginError


class Streams:
    """Streams of one item each; those in `failing` raise instead, those in `hanging` never end."""

    def __init__(
        self, count: int, failing: dict[int, Exception] | None = None, hanging: set[int] | None = None
    ):
        self.count, self.failing, self.hanging = count, failing or {}, hanging or set()
        self.started: list[int] = []
        self.cleaned: list[int] = []

    def __iter__(self) -> Iterator[tuple[str, AsyncGenerator[int, None]]]:
        for number in range(self.count):
            yield str(number), self._one(number)

    async def _one(self, number: int) -> AsyncGenerator[int, None]:
        self.started.append(number)
        try:
            if number in self.failing:
                raise self.failing[number]
            if number in self.hanging:
                await asyncio.Event().wait()
            yield number
        finally:
            self.cleaned.append(number)


async def test_every_stream_is_heard_once():
    streams = Streams(5)
    heard = [item async for item in side_by_side(iter(streams), 2, set())]
    assert sorted(heard) == [0, 1, 2, 3, 4]


async def test_the_next_stream_starts_when_more_is_asked_for():
    streams = Streams(5)
    async with aclosing(side_by_side(iter(streams), 2, set())) as items:
        await anext(items)
        await asyncio.sleep(0)
        assert streams.started == [0, 1]


async def test_an_error_comes_after_what_the_others_brought():
    streams = Streams(5, failing={0: BackendUnavailable("gone")})
    items = side_by_side(iter(streams), 3, set())
    assert [await anext(items), await anext(items)] == [1, 2]
    with pytest.raises(BackendUnavailable, match="gone"):
        await anext(items)
    assert streams.started == [0, 1, 2]


async def test_the_first_of_several_errors_is_raised():
    streams = Streams(3, failing={1: BackendUnavailable("first"), 2: BackendUnavailable("second")})
    with pytest.raises(BackendUnavailable, match="first"):
        assert [item async for item in side_by_side(iter(streams), 3, set())] == [0]


async def test_an_error_that_is_not_a_backends_is_not_swallowed():
    streams = Streams(2, failing={0: PluginError("bug")})
    with pytest.raises(PluginError, match="bug"):
        assert [item async for item in side_by_side(iter(streams), 1, set())] == []


async def test_closing_cleans_up_every_stream_that_began():
    streams = Streams(4, hanging={1, 2})
    items = side_by_side(iter(streams), 3, set())
    assert await anext(items) == 0
    await items.aclose()
    assert sorted(streams.cleaned) == [0, 1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_pruned_stream_makes_room_for_the_next():
    streams, pruned = Streams(4, hanging={0}), set[str]()
    heard = []
    async for item in side_by_side(iter(streams), 2, pruned):
        heard.append(item)
        pruned.add("0")
    assert sorted(heard) == [1, 2, 3]
    assert 0 in streams.cleaned


async def test_a_stream_that_is_pruned_before_its_first_step_ends():
    streams, pruned = Streams(3), set[str]()
    heard = []
    async for item in side_by_side(iter(streams), 1, pruned):
        heard.append(item)
        pruned.update({"1", "2"})
    assert heard == [0]

"""Pieces of text that come close together go as one message; nothing waits long, nothing grows without bound."""

from __future__ import annotations

import asyncio

import pytest

from router.serving.deltas import LONG_S, MANY, MOST_CHARS, SHORT_S, Deltas, OpenStreams


class Caller:
    """Takes what is written; reads only while it `reads`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = False
        self.twice = asyncio.Event()  # two messages have come

    async def take(self, text: str, reasoning: str) -> None:
        await self.reads.wait()
        if self.gone:
            raise ConnectionError("the caller left")
        self.got.append((text, reasoning))
        if len(self.got) == 2:
            self.twice.set()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.got)


@pytest.fixture
def caller() -> Caller:
    return Caller()


async def test_the_first_piece_goes_at_once_and_what_follows_closely_goes_together(caller):
    async with Deltas(caller.take, OpenStreams()) as deltas:
        for word in ("Once", " upon", " a", " time"):
            await deltas.add(word, "")
        assert caller.got == [("Once", "")]
        await deltas.flush()
    assert caller.got == [("Once", ""), (" upon a time", "")]


async def test_pieces_that_nothing_follows_are_sent_by_themselves(caller):
    async with Deltas(caller.take, OpenStreams()) as deltas:
        await deltas.add("Once", "")
        await deltas.add(" upon", "as the tales begin")
        async with asyncio.timeout(5):
            await caller.twice.wait()
    assert caller.got[1] == (" upon", "as the tales begin")


async def test_a_caller_who_does_not_read_holds_the_plan_up_before_much_has_gathered(caller):
    async with Deltas(caller.take, OpenStreams()) as deltas:
        await deltas.add("first", "")
        caller.reads.clear()
        blocked = asyncio.create_task(deltas.add("x" * (MOST_CHARS + 1), ""))
        await asyncio.sleep(0)
        assert not blocked.done()
        caller.reads.set()
        await blocked
    assert len(caller.text) == MOST_CHARS + 1 + len("first")


async def test_that_the_caller_left_is_told_with_a_later_piece_or_at_the_end(caller):
    async with Deltas(caller.take, OpenStreams()) as deltas:
        await deltas.add("first", "")
        caller.gone = True
        await deltas.add("second", "")
        with pytest.raises(ConnectionError):
            await deltas.flush()


async def test_leaving_early_ends_what_is_being_written_and_counts_the_stream_out(caller):
    streams = OpenStreams()
    async with Deltas(caller.take, streams) as deltas:
        assert streams.count == 1
        await deltas.add("first", "")
        caller.reads.clear()
        await deltas.add("second", "")
        await asyncio.sleep(2 * SHORT_S)
    assert (caller.text, streams.count) == ("first", 0)


def test_pieces_wait_longer_where_very_many_streams_are_open():
    streams = OpenStreams()
    streams.count = MANY
    assert streams.window_s == SHORT_S
    streams.count = MANY + 1
    assert streams.window_s == LONG_S

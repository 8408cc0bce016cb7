"""What is written ahead goes out first, holds nobody up, and its failure is not lost; who reads nothing is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.connections.keep_alive_stream import KeepAliveStream
from router.errors import DeadlineExceeded


class Caller:
    """Takes what is sent, once it `reads`."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.reads = asyncio.Event()
        self.gone = False

    async def take(self, item: str) -> None:
        await self.reads.wait()
        if self.gone:
            raise ConnectionError("the caller left")
        self.got.append(item)


@pytest.fixture
def caller() -> Caller:
    return Caller()


async def test_what_is_written_ahead_holds_nobody_up_and_still_goes_first(caller):
    async with KeepAliveStream(caller.take, "sign", 60.0) as stream:
        stream.write_ahead("first")
        later = asyncio.create_task(stream.write("second"))
        await asyncio.sleep(0)
        assert not later.done() and not caller.got
        caller.reads.set()
        await later
    assert caller.got == ["first", "second"]


async def test_what_was_written_ahead_is_sent_before_the_stream_ends_also_by_an_error(caller):
    async def fails() -> None:
        async with KeepAliveStream(caller.take, "sign", 60.0) as stream:
            stream.write_ahead("first")
            raise ValueError("no plan")

    caller.reads.set()
    with pytest.raises(ValueError, match="no plan"):
        await fails()
    assert caller.got == ["first"]


async def test_that_the_caller_left_is_raised_by_the_next_write(caller):
    caller.gone = True
    caller.reads.set()
    async with KeepAliveStream(caller.take, "sign", 60.0) as stream:
        stream.write_ahead("first")
        with pytest.raises(ConnectionError):
            await stream.write("second")


async def test_a_cancelled_stream_waits_for_nobody(caller):
    async def work() -> None:
        async with KeepAliveStream(caller.take, "sign", 60.0) as stream:
            stream.write_ahead("first")
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert caller.got == []


async def told(caller: Caller, work: Callable[[KeepAliveStream[str]], Awaitable[None]]) -> None:
    async with asyncio.timeout(5), KeepAliveStream(caller.take, "sign", 0.01) as stream:
        stream.write_ahead("first")
        await work(stream)


async def waits(stream: KeepAliveStream[str]) -> None:
    await asyncio.Event().wait()


async def goes_on(stream: KeepAliveStream[str]) -> None:
    await stream.write("second")


async def fails(stream: KeepAliveStream[str]) -> None:
    raise ValueError("no plan")


@pytest.mark.parametrize("work", [waits, goes_on])
async def test_a_caller_who_reads_nothing_is_not_waited_for(caller, work):
    with pytest.raises(DeadlineExceeded, match="read nothing"):
        await told(caller, work)


async def test_an_error_is_raised_though_its_caller_reads_nothing(caller):
    with pytest.raises(ValueError, match="no plan"):
        await told(caller, fails)


async def test_a_caller_who_reads_late_is_told_everything(caller):
    async with asyncio.timeout(5), KeepAliveStream(caller.take, "sign", 0.05) as stream:
        asyncio.get_running_loop().call_later(0.1, caller.reads.set)
        await stream.write("first")
        await stream.write("second")
    assert [item for item in caller.got if item != "sign"] == ["first", "second"]

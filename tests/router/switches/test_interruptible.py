"""One deadline for many waits: it ends the wait it falls into, and is told apart from a caller who leaves."""

from __future__ import annotations

import asyncio

import pytest

from router.switches.interruptible import Interruptible


def cancellations() -> int:
    """Of this test's task, that are still to be answered for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def soon(s: float = 0.01) -> float:
    return asyncio.get_running_loop().time() + s


async def test_the_wait_that_the_deadline_falls_into_ends_and_the_task_goes_on():
    waits = Interruptible(soon())
    with waits:
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), waits:
        await asyncio.Event().wait()
    assert cancellations() == 0
    await asyncio.sleep(0)


async def test_what_runs_between_two_waits_is_left_alone_and_the_next_wait_ends():
    waits = Interruptible(soon())
    await asyncio.sleep(0.03)  # a slow caller takes what was waited for
    with pytest.raises(TimeoutError), waits:
        await asyncio.Event().wait()


async def test_what_is_there_at_once_is_still_had_after_the_deadline():
    waits = Interruptible(soon(0.0))
    await asyncio.sleep(0.01)
    there = asyncio.Queue[int]()
    there.put_nowait(1)
    with waits:
        assert await there.get() == 1
    await asyncio.sleep(0.01)  # nothing comes after it


async def test_somebody_else_may_end_the_wait_before_and_while_it_lasts():
    waits = Interruptible()
    asyncio.get_running_loop().call_soon(waits.interrupt)
    for _ in range(2):
        with pytest.raises(TimeoutError), waits:
            await asyncio.Event().wait()


async def test_a_task_that_is_cancelled_by_its_owner_is_cancelled_not_out_of_time():
    waits = Interruptible(soon(60.0))

    async def work() -> None:
        with waits:
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waits.close()


async def test_where_both_happen_at_once_the_owner_wins():
    waits = Interruptible()

    async def work() -> None:
        with waits:
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    waits.interrupt()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_what_was_waited_for_is_told_as_it_is():
    waits = Interruptible(soon())

    async def fails_on_the_way_out() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), waits:
        await fails_on_the_way_out()
    assert cancellations() == 0


async def test_a_closed_one_rings_no_more():
    waits = Interruptible(soon())
    waits.close()
    with waits:
        await asyncio.sleep(0.03)

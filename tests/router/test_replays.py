"""The table behind request ids: bounded in time, entries and bytes, and fair to those who wait."""

from __future__ import annotations

import asyncio

import pytest

from router.admission.idempotency import ENTRY_BYTES, Replays, digest_of
from router.errors import Overloaded, RequestConflict

A, B = ("t", "a"), ("t", "b")
BODY, OTHER = digest_of(b"body"), digest_of(b"other")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def put(replays: Replays[str], key, result: str, size: int = 1) -> None:
    with await replays.claim(key, BODY) as claim:
        assert claim.result is None
        claim.finish(result, size)


async def test_a_result_is_kept_for_its_time_and_not_longer(clock):
    replays: Replays[str] = Replays(10.0, clock)
    await put(replays, A, "one")
    clock.now_s = 9.9
    assert (await replays.claim(A, BODY)).result == "one"
    clock.now_s = 10.0
    assert (await replays.claim(A, BODY)).result is None


async def test_an_expired_id_may_stand_for_another_body(clock):
    replays: Replays[str] = Replays(10.0, clock)
    await put(replays, A, "one")
    clock.now_s = 11.0
    assert (await replays.claim(A, OTHER)).result is None


async def test_the_oldest_go_when_there_are_too_many(clock):
    replays: Replays[str] = Replays(10.0, clock, max_entries=2)
    for name in "abc":
        await put(replays, ("t", name), name)
    assert len(replays) == 2
    assert (await replays.claim(("t", "a"), OTHER)).result is None
    assert (await replays.claim(("t", "c"), BODY)).result == "c"


async def test_the_oldest_go_when_they_are_too_large(clock):
    replays: Replays[str] = Replays(10.0, clock, max_bytes=2 * (ENTRY_BYTES + 100))
    for name in "abc":
        await put(replays, ("t", name), name, size=100)
    assert (len(replays), replays.bytes) == (2, 2 * (ENTRY_BYTES + 100))


async def test_bytes_are_given_back_with_the_entries(clock):
    replays: Replays[str] = Replays(10.0, clock)
    await put(replays, A, "one", size=1000)
    clock.now_s = 20.0
    await replays.claim(B, BODY)
    assert (len(replays), replays.bytes) == (0, 0)


async def test_a_result_larger_than_the_memory_is_told_to_those_who_wait_and_not_kept(clock):
    replays: Replays[str] = Replays(10.0, clock, max_bytes=1000)
    claim = await replays.claim(A, BODY)
    waiting = asyncio.create_task(replays.claim(A, BODY))
    await asyncio.sleep(0)
    with claim:
        claim.finish("large", 5000)
    assert (await waiting).result == "large"
    assert len(replays) == 0


async def test_an_error_is_told_to_those_who_wait_and_not_kept(clock):
    replays: Replays[str] = Replays(10.0, clock)
    claim = await replays.claim(A, BODY)
    waiting = asyncio.create_task(replays.claim(A, BODY))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded), claim:
        raise Overloaded("busy")
    with pytest.raises(Overloaded):
        await waiting
    assert (await replays.claim(A, BODY)).result is None


async def test_one_of_those_who_wait_takes_over_when_the_worker_is_cancelled(clock):
    replays: Replays[str] = Replays(10.0, clock)
    claim = await replays.claim(A, BODY)
    waiting = [asyncio.create_task(replays.claim(A, BODY)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError), claim:
        raise asyncio.CancelledError
    done, pending = await asyncio.wait(waiting, timeout=0.1)
    assert (len(done), len(pending)) == (1, 1)
    with done.pop().result() as taken:
        assert taken.result is None
        taken.finish("two", 1)
    assert (await pending.pop()).result == "two"


async def test_another_body_is_refused_while_the_first_runs_and_after(clock):
    replays: Replays[str] = Replays(10.0, clock)
    with await replays.claim(A, BODY) as claim:
        with pytest.raises(RequestConflict):
            await replays.claim(A, OTHER)
        claim.finish("one", 1)
    with pytest.raises(RequestConflict):
        await replays.claim(A, OTHER)


async def test_leaving_after_the_end_does_not_end_the_next_ones_work(clock):
    """Nothing is kept here, so that the id is free as soon as the first is done, before it leaves."""
    replays: Replays[str] = Replays(0.0, clock)
    with await replays.claim(A, BODY) as first:
        first.finish("one", 1)
        second = await replays.claim(A, BODY)
    waiting = asyncio.create_task(replays.claim(A, BODY))
    await asyncio.sleep(0)
    second.finish("two", 1)
    assert (await waiting).result == "two"

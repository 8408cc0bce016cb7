"""Who is let in: so many at a time, urgent queries a few more, fewer while the event loop is late; refusals say when."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import grpc
import pytest

from router.admission.admission import Admission
from router.admission.concurrency_limit import BUSY, EARLY_S, LATE_S, LEAST, Limit
from router.admission.retry_delay import FIRST_RETRY_S, LONGEST_RETRY_S, SHORTEST_RETRY_S
from router.errors import Overloaded
from training.suites.serving.overload import is_refusal


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_last_tenth_of_the_places_is_for_urgent_queries():
    admission = Admission(20)
    with ExitStack() as stack:
        for _ in range(18):
            stack.enter_context(admission.enter(query=True))
        with pytest.raises(Overloaded):
            stack.enter_context(admission.enter(query=True))
        for _ in range(2):
            stack.enter_context(admission.enter(query=True, urgent=lambda: True))
        with pytest.raises(Overloaded):
            stack.enter_context(admission.enter(query=True, urgent=lambda: True))
        stack.enter_context(admission.enter(query=False))  # a report is not shed
    assert (admission.queries, admission.calls, admission.shed) == (0, 0, 2)


@pytest.mark.parametrize(
    ("took_s", "told_s"), [(0.001, SHORTEST_RETRY_S), (3.0, 3.0), (60.0, LONGEST_RETRY_S)]
)
def test_a_refusal_says_to_come_again_after_as_long_as_a_query_takes(took_s, told_s):
    clock = Clock()
    admission = Admission(1, clock)
    assert admission.retry_after_s == FIRST_RETRY_S
    with admission.enter(query=True):
        clock.now += took_s
    with admission.enter(query=True), pytest.raises(Overloaded) as refused:
        admission.enter(query=True).__enter__()
    assert refused.value.retry_after_s == pytest.approx(told_s)


def test_while_the_event_loop_is_late_fewer_are_let_in_and_later_as_many_as_before():
    limit = Limit(1000)
    for _ in range(30):
        limit.seen(5 * LATE_S, running=800)
    assert LEAST <= limit.now < 100
    for _ in range(200):
        limit.seen(0.0, running=limit.now)
    assert limit.now == 1000


def test_a_process_that_others_keep_from_the_processor_lets_in_as_many_as_before():
    limit = Limit(1000)
    for _ in range(30):
        limit.seen(5 * LATE_S, running=60, busy=BUSY / 2)
    assert limit.now == 1000


def test_a_single_late_tick_changes_nothing():
    limit = Limit(1000)
    limit.seen(3 * LATE_S, running=900)
    assert limit.now == 1000


def test_between_late_and_early_the_limit_stays():
    limit = Limit(1000)
    for _ in range(30):
        limit.seen(5 * LATE_S, running=500)
    limit.lag_s = (LATE_S + EARLY_S) / 2
    before = limit.now
    limit.seen((LATE_S + EARLY_S) / 2, running=500)
    assert limit.now == before


def test_a_limit_that_was_configured_low_stays_where_it_is():
    limit = Limit(4)
    for _ in range(50):
        limit.seen(1.0, running=4)
    assert limit.now == 4


async def test_the_lag_is_that_of_the_loop_that_watches():
    admission = Admission(1000)
    admission.begin()
    seen = asyncio.Event()
    before = admission.limit.seen

    def see(lag_s: float, running: int, busy: float = 1.0) -> None:
        before(lag_s, running, busy)
        seen.set()

    admission.limit.seen = see  # type: ignore[method-assign]
    await seen.wait()
    assert admission.limit.lag_s >= 0.0
    admission.close()


async def test_a_service_looks_at_its_own_line_and_refuses_with_a_delay_where_it_stands(house, ask):
    looked, seen = asyncio.Event(), list[float]()

    def see(wait_s: float) -> None:
        seen.append(wait_s)
        if house.servers.waiting.answered:
            looked.set()

    house.servers.waiting.tell = see
    await house.stub.Generate(ask())  # a call to itself follows
    await asyncio.wait_for(looked.wait(), 20.0)
    assert all(wait_s >= 0.0 for wait_s in seen)
    house.servers.admission.shedding.share = 1.0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.stub.Generate(ask())
    assert is_refusal(refused.value)
    await house.stub.Generate(ask(priority=1))

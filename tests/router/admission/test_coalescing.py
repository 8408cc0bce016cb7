"""Calls that come close together are worked off in a row: decisions first, replies after them; each for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from router.admission.coalescing import AGAIN, MOST, Coalescer
from router.errors import NoPlan
from router.serving.calls import Calls
from router.v1 import apportion_router_pb2 as pb

NEVER_S = 3600.0


class Caller:
    """What gRPC shows of one call."""

    def __init__(self, name: str, left_s: float | None = None) -> None:
        self.name, self.left_s = name, left_s
        self.code: grpc.StatusCode | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def time_remaining(self) -> float | None:
        return self.left_s

    def set_trailing_metadata(self, _: object) -> None:
        """Nothing is looked at."""

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        self.code = code
        raise asyncio.CancelledError  # gRPC raises an error of its own


class Deciding:
    """Decides at once, and fails where it is told to; keeps the order."""

    def __init__(self) -> None:
        self.order: list[str] = []

    async def decide(self, request: pb.GenerateRequest, _: object) -> pb.DecideReply:
        self.order.append(f"decides {request.request_id}")
        if request.request_id == "bad":
            raise NoPlan("no plan is feasible")
        return pb.DecideReply(decision_id=request.request_id)

    async def ask(
        self, coalescer: Coalescer | None, name: str, caller: Caller | None = None
    ) -> pb.DecideReply:
        service = pb.DESCRIPTOR.services_by_name["Router"]
        calls = Calls(service, self, 1 << 20, queries=frozenset({"Decide"}), coalescer=coalescer)
        handler: Any = calls._handler(service.methods_by_name["Decide"])
        reply = await handler.unary_unary(
            pb.GenerateRequest(request_id=name).SerializeToString(), caller or Caller(name)
        )
        self.order.append(f"replies {name}")
        return pb.DecideReply.FromString(reply)


async def crowded(wait_s: float = NEVER_S) -> Coalescer:
    """One at which two came in one turn of the loop: the next ones wait for each other."""
    coalescer = Coalescer(wait_s)
    assert not any(await asyncio.gather(coalescer.take(), coalescer.take()))
    await asyncio.sleep(0)
    return coalescer


async def test_a_call_alone_is_never_held_up():
    coalescer = Coalescer(NEVER_S)
    for _ in range(3 * AGAIN):
        with pytest.raises(StopIteration):  # it went on without being suspended
            coalescer.take().send(None)
        await asyncio.sleep(0)


async def test_in_a_crowd_calls_begin_in_a_row_in_the_order_in_which_they_came():
    coalescer, begun = await crowded(), []

    async def call(number: int) -> None:
        assert await coalescer.take()
        begun.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(MOST - 1)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert begun == []
    await asyncio.gather(*calls, call(MOST - 1))
    assert begun == list(range(MOST))


async def test_who_waits_for_others_that_do_not_come_goes_on_after_the_wait():
    coalescer = await crowded(wait_s=0.001)
    assert await asyncio.wait_for(coalescer.take(), 5.0)


async def test_where_too_few_come_together_nobody_waits_any_more_for_a_while():
    coalescer = await crowded(wait_s=0.001)
    rows = 0
    while await coalescer.take():
        rows += 1
    assert 0 < rows < 10
    for _ in range((AGAIN - rows) // 2 - 1):
        assert not any(await asyncio.gather(coalescer.take(), coalescer.take()))
        await asyncio.sleep(0)


async def test_a_caller_that_leaves_while_it_waits_takes_nobody_along():
    coalescer = await crowded()
    calls = [asyncio.create_task(coalescer.take()) for _ in range(MOST - 1)]
    await asyncio.sleep(0)
    calls[3].cancel()
    await asyncio.sleep(0)
    assert await coalescer.take()
    assert [call.cancelled() for call in calls] == [number == 3 for number in range(MOST - 1)]
    assert all(await asyncio.gather(*calls[:3], *calls[4:]))


async def test_all_of_a_row_decide_before_the_first_reply_is_sent():
    deciding, coalescer = Deciding(), await crowded()
    names = [str(number) for number in range(MOST)]
    replies = await asyncio.gather(*(deciding.ask(coalescer, name) for name in names))
    assert [reply.decision_id for reply in replies] == names
    assert deciding.order == [f"decides {name}" for name in names] + [f"replies {name}" for name in names]


async def test_a_query_that_fails_and_one_that_is_late_are_refused_alone():
    deciding, coalescer = Deciding(), await crowded()
    callers = [Caller(str(number)) for number in range(MOST)]
    callers[1].name = "bad"
    calls = [asyncio.create_task(deciding.ask(coalescer, caller.name, caller)) for caller in callers]
    callers[2].left_s = 0.0  # its deadline passes while it waits
    await asyncio.wait(calls)
    assert [caller.code for caller in callers[:4]] == [
        None,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        None,
    ]
    assert [call.result().decision_id for call in (calls[0], *calls[3:])] == [
        caller.name for caller in (callers[0], *callers[3:])
    ]
    assert "decides 2" not in deciding.order

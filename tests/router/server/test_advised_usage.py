"""Callers of Advise: spend never falls below what was reserved and not returned, whatever they report or do not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import grpc
import pytest

from router.advising.held_reservations import REPORTED_LATER
from router.v1 import apportion_router_pb2 as pb


def used(tokens_in: int, out: int) -> pb.UsageItem:
    item = pb.UsageItem(out=out)
    setattr(item, "in", tokens_in)
    return item


def sample(name: str, text: str, **more: Any) -> pb.AdviseRequest:
    parts = [pb.Part(text=text)]
    return pb.AdviseRequest(
        sample=pb.AdvisedSample(sample_id=name, parts=parts, **{"finished": True, **more})
    )


def spent(house: Any) -> tuple[int, int]:
    balance = house.service.ledger.balance()
    return balance.spent, balance.reserved


def later(house: Any, seconds: float) -> None:
    now = house.service.ledger._clock()
    house.service.ledger._clock = lambda: now + seconds
    house.service.ledger.expire()


@pytest.fixture
def opened(house, ask):
    """A stream on a plan, its decision's id and what is reserved for it."""

    async def open_on(plan: str) -> tuple[Any, str, int]:
        call = house.stub.Advise(timeout=20.0)
        await call.write(pb.AdviseRequest(request=ask(plan=plan)))
        first = await call.read()
        return call, first.decision_id, spent(house)[1]

    return open_on


async def bring(call: Any, *args: Any, **more: Any) -> str:
    await call.write(sample(*args, **more))
    return str((await call.read()).WhichOneof("advice"))


async def closed(call: Any) -> None:
    """The caller says that it has nothing more, and the service that it has taken all in."""
    await call.done_writing()
    with suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass


async def left(house: Any, call: Any) -> None:
    """The caller goes away without a word."""
    call.cancel()
    await house.servers.admission._idle.wait()


async def report(house: Any, decision_id: str, *, final: bool = True, **by_backend: pb.UsageItem) -> Any:
    reply = await house.stub.ReportUsage(
        pb.ReportUsageRequest(decision_id=decision_id, by_backend=by_backend, final=final)
    )
    return reply.charged, reply.returned


async def test_what_the_samples_used_is_charged_and_the_rest_returned_at_once(house, opened):
    call, decision_id, reserved = await opened("vote")
    assert reserved > 50
    assert await bring(call, "a", "4", usage=used(10, 5)) == "more"
    assert spent(house) == (0, reserved)
    assert await bring(call, "b", "4", usage=used(20, 5)) == "enough"
    assert spent(house) == (50, 0)
    await closed(call)
    row = await house.service.store.decision(decision_id)
    assert (row.cost, row.charged, row.reserved) == (50, 50, reserved)


async def test_a_report_after_everything_was_settled_changes_nothing(house, opened):
    call, decision_id, reserved = await opened("small")
    assert await bring(call, "a", "4", usage=used(10, 5)) == "enough"
    await closed(call)
    for item in (used(0, 0), used(99, 99)):
        assert await report(house, decision_id, small=item) == (20, reserved - 20)
    assert spent(house) == (20, 0)


async def test_a_growing_sample_is_charged_once_at_its_largest(house, opened):
    call, _, _ = await opened("small")
    for out in (1, 4, 2):
        assert await bring(call, "a", "4", finished=False, usage=used(10, out)) == "more"
    assert await bring(call, "a", "4", usage=used(10, 3)) == "enough"
    assert spent(house) == (10 + 2 * 4, 0)
    await closed(call)


async def test_a_sample_that_does_not_say_what_it_used_is_charged_at_its_worst_case(house, opened):
    call, _, reserved = await opened("small")
    assert await bring(call, "a", "4") == "enough"
    assert spent(house) == (reserved, 0)
    await closed(call)


async def test_more_than_was_reserved_is_charged_in_full(house, opened):
    call, _, reserved = await opened("small")
    assert await bring(call, "a", "4", usage=used(reserved, 50)) == "enough"
    assert spent(house) == (reserved + 100, 0)
    await closed(call)


async def test_who_leaves_midway_and_never_reports_is_charged_the_worst_case(house, opened):
    call, decision_id, reserved = await opened("vote")
    await bring(call, "a", "4", usage=used(10, 5))
    await left(house, call)
    assert spent(house) == (0, reserved)
    row = await house.service.store.decision(decision_id)
    assert (row.charged, REPORTED_LATER in row.degraded) == (20, True), (
        "a row says what is certain, and that more may follow"
    )
    later(house, 3600.0)
    assert spent(house) == (reserved, 0)


async def test_who_leaves_midway_and_reports_is_charged_what_it_used(house, opened):
    call, decision_id, reserved = await opened("vote")
    await bring(call, "a", "4", usage=used(10, 5))
    await left(house, call)
    assert await report(house, decision_id, small=used(25, 10)) == (45, reserved - 45)
    assert await report(house, decision_id, small=used(1, 1)) == (45, reserved - 45)
    assert spent(house) == (45, 0)
    assert (await house.service.store.decision(decision_id)).status.value == "cancelled"


async def test_a_report_of_less_than_the_samples_said_counts_as_what_they_said(house, opened):
    call, decision_id, reserved = await opened("vote")
    await bring(call, "a", "4", usage=used(10, 5))
    await left(house, call)
    assert await report(house, decision_id, small=used(1, 1)) == (20, reserved - 20)
    assert spent(house) == (20, 0)


async def test_what_is_reported_too_late_gives_nothing_back(house, opened):
    call, decision_id, reserved = await opened("vote")
    await left(house, call)
    later(house, 905.0)
    assert await report(house, decision_id, small=used(1, 1)) == (reserved, 0)
    assert spent(house) == (reserved, 0)


async def test_a_stream_that_ends_in_an_error_holds_what_is_not_known(house, opened):
    call, decision_id, reserved = await opened("vote")
    await call.write(sample("a", "4", confidence=7.0))
    await closed(call)
    assert spent(house) == (0, reserved)
    assert await report(house, decision_id, small=used(10, 5)) == (20, reserved - 20)


async def test_samples_that_ran_when_there_was_enough_are_reported_on_the_stream(house, opened):
    call, decision_id, reserved = await opened("wide")
    await bring(call, "a", "4", usage=used(10, 5))
    assert await bring(call, "b", "4", usage=used(10, 5)) == "enough"
    assert spent(house) == (0, reserved), "another one is running: what it will use is not known"
    await call.write(sample("c", "", finish_reason="cut", usage=used(10, 1)))
    await closed(call)
    assert spent(house) == (52, 0)
    assert await report(house, decision_id) == (52, reserved - 52)


async def test_samples_that_ran_when_there_was_enough_and_are_not_reported_hold_the_worst_case(house, opened):
    call, decision_id, reserved = await opened("wide")
    await bring(call, "a", "4", usage=used(10, 5))
    assert await bring(call, "b", "4", usage=used(10, 5)) == "enough"
    await closed(call)
    assert spent(house) == (0, reserved)
    assert await report(house, decision_id, final=False, small=used(30, 11)) == (52, 0)
    assert spent(house) == (0, reserved)
    later(house, 3600.0)
    assert spent(house) == (reserved, 0)


@pytest.mark.parametrize("growing", [0, 3])
async def test_the_row_reckons_with_samples_that_run_when_there_is_enough_as_with_those_that_ended(
    house, opened, growing
):
    call, decision_id, _ = await opened("wide")
    assert await bring(call, "a", "4", usage=used(10, 5)) == "more"
    if growing:
        assert await bring(call, "c", "", finished=False, usage=used(12, growing)) == "more"
    assert await bring(call, "b", "4", usage=used(10, 15)) == "enough"
    row = await house.service.store.decision(decision_id)
    like = 12 + 2 * 10 if growing else 10 + 2 * 10  # what it said, and the mean of the others
    certain = 20 + 2 * 20 + (12 + 2 * growing if growing else 0)
    assert (row.cost, row.costs, row.charged) == (60 + like, {"small": 60 + like}, certain)
    await bring_last(call, "c", "5", usage=used(12, 4))
    assert spent(house) == (60 + 12 + 8, 0)


async def bring_last(call: Any, *args: Any, **more: Any) -> None:
    await call.write(sample(*args, **more))
    await closed(call)

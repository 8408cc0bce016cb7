"""Callers of Decide: spend never falls below what was reserved and not returned, whatever they report or do not."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from router.v1 import apportion_router_pb2 as pb

REQUEST = pb.GenerateRequest(messages=[pb.Message(role=pb.ROLE_USER, parts=[pb.Part(text="2 + 2?")])])


def used(tokens_in: int, out: int) -> pb.UsageItem:
    item = pb.UsageItem(out=out)
    setattr(item, "in", tokens_in)
    return item


async def decided(house: Any) -> tuple[str, int]:
    """A decision on the small model (1 and 2 micro-dollars a token), and what is reserved for it."""
    request = pb.GenerateRequest()
    request.CopyFrom(REQUEST)
    request.constraints.plan = "small"
    reply = await house.stub.Decide(request)
    return reply.decision_id, house.service.ledger.balance().reserved


async def report(
    house: Any, decision_id: str, *, final: bool = True, **by_backend: pb.UsageItem
) -> tuple[int, int]:
    reply = await house.stub.ReportUsage(
        pb.ReportUsageRequest(decision_id=decision_id, by_backend=by_backend, final=final)
    )
    return reply.charged, reply.returned


def spent(house: Any) -> tuple[int, int]:
    balance = house.service.ledger.balance()
    return balance.spent, balance.reserved


async def test_a_decision_holds_its_worst_case_until_its_usage_is_reported(house):
    decision_id, reserved = await decided(house)
    assert reserved > 0
    assert await report(house, decision_id, small=used(10, 5)) == (20, reserved - 20)
    assert spent(house) == (20, 0)


async def test_what_is_reported_twice_is_charged_once(house):
    decision_id, _ = await decided(house)
    first = await report(house, decision_id, small=used(10, 5))
    assert await report(house, decision_id, small=used(99, 99)) == first
    assert spent(house) == (20, 0)


async def test_reports_on_the_way_are_totals_and_give_nothing_back(house):
    decision_id, reserved = await decided(house)
    for _ in range(2):
        assert await report(house, decision_id, final=False, small=used(10, 5)) == (20, 0)
    assert spent(house) == (0, reserved)
    assert await report(house, decision_id) == (20, reserved - 20)


async def test_a_last_report_of_less_than_an_earlier_one_counts_as_the_earlier_one(house):
    decision_id, reserved = await decided(house)
    assert await report(house, decision_id, final=False, small=used(10, 5)) == (20, 0)
    assert await report(house, decision_id, small=used(1, 1)) == (20, reserved - 20)
    assert spent(house) == (20, 0)


async def test_a_later_share_of_cached_tokens_does_not_make_it_cheaper(house):
    decision_id, _ = await decided(house)
    await report(house, decision_id, final=False, small=used(10, 5))
    cached = used(10, 5)
    cached.cached_in = 10
    charged, _ = await report(house, decision_id, small=cached)
    assert charged == 20


async def test_what_is_never_reported_is_charged_at_its_worst_case(house):
    _, reserved = await decided(house)
    now = house.service.ledger._clock()
    house.service.ledger._clock = lambda: now + 3600.0
    house.service.ledger.expire()
    assert spent(house) == (reserved, 0)


async def test_what_is_reported_too_late_gives_nothing_back(house):
    decision_id, reserved = await decided(house)
    now = house.service.ledger._clock()
    house.service.ledger._clock = lambda: now + 905.0
    house.service.ledger.expire()
    assert await report(house, decision_id, small=used(1, 1)) == (reserved, 0)
    assert spent(house) == (reserved, 0)


async def test_more_than_was_reserved_is_charged_in_full(house):
    decision_id, reserved = await decided(house)
    assert await report(house, decision_id, small=used(reserved, 50)) == (reserved + 100, 0)
    assert spent(house) == (reserved + 100, 0)


@pytest.mark.parametrize(
    ("by_backend", "said"),
    [
        ({"nobody": used(1, 1)}, "unknown backend 'nobody'"),
        ({"small": used(-1, 1)}, "by_backend['small'].in"),
        ({"small": used(1, 10**15)}, "by_backend['small'].out"),
        ({"small": pb.UsageItem(cached_in=5)}, "by_backend['small'].cached_in"),
    ],
)
async def test_usage_that_cannot_be_is_refused_and_the_reservation_stays(house, by_backend, said):
    decision_id, reserved = await decided(house)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await report(house, decision_id, **by_backend)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(caught.value.details())
    assert spent(house) == (0, reserved)


async def test_a_decision_that_was_not_made_here_is_not_found(house):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await report(house, "another")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_decision_that_the_budget_does_not_cover_is_refused(house):
    await house.admin.set_budget(3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await decided(house)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

"""A request id stands for one piece of work: joined, replayed, refused for another body; through a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from router.client import AnswerDelta, Conflict, Constraints, Done, Started, StreamEvent, Unavailable

GATED = Constraints(plan="gated")


async def until_running(house, count: int) -> None:
    async with asyncio.timeout(5):
        while house.servers.admission.queries < count:  # noqa: ASYNC110 (the server only counts)
            await asyncio.sleep(0.005)


async def test_a_second_call_under_the_same_id_joins_the_first(house):
    first = asyncio.create_task(house.client.generate("hi", constraints=GATED, request_id="a"))
    await house.gated.entered.acquire()
    second = asyncio.create_task(house.client.generate("hi", constraints=GATED, request_id="a"))
    await until_running(house, 2)
    house.gated.gate.set()
    replies = await asyncio.gather(first, second)
    assert replies[0] == replies[1]
    assert house.gated.calls == 1


async def test_a_finished_id_is_answered_again_without_work(house):
    first = await house.client.generate("2 + 2?", request_id="a")
    again = await house.client.generate("2 + 2?", request_id="a")
    assert first == again
    assert len([row async for row in house.admin.decisions()]) == 1


async def test_a_replayed_call_has_the_decision_id_in_its_trailers(house, ask):
    first = await house.stub.Generate(ask(request_id="a"))
    call = house.stub.Generate(ask(request_id="a"))
    await call
    assert dict(await call.trailing_metadata())["apportion-decision-id"] == first.decision_id


async def test_the_same_id_with_another_body_is_refused(house):
    await house.client.generate("2 + 2?", request_id="a")
    with pytest.raises(Conflict, match="'a' was used with another body"):
        await house.client.generate("3 + 3?", request_id="a")


async def test_the_same_id_with_another_body_is_refused_while_the_first_runs(house):
    first = asyncio.create_task(house.client.generate("hi", constraints=GATED, request_id="a"))
    await house.gated.entered.acquire()
    with pytest.raises(Conflict):
        await house.client.generate("ho", constraints=GATED, request_id="a")
    house.gated.gate.set()
    await first


async def test_maps_in_another_order_are_the_same_body(house, ask):
    """Other languages do not keep the order of a map's entries."""
    entries = [f"key{number}" for number in range(20)]
    one = ask(request_id="a", metadata=dict.fromkeys(entries, "x"))
    two = ask(request_id="a", metadata=dict.fromkeys(reversed(entries), "x"))
    assert (await house.stub.Generate(one)).decision_id == (await house.stub.Generate(two)).decision_id


async def test_tenants_do_not_share_ids(house):
    first = await house.client.generate("2 + 2?", request_id="a", tenant="acme")
    other = await house.client.generate("another body", request_id="a", tenant="umbrella")
    assert first.decision_id != other.decision_id


async def test_a_failed_request_may_be_tried_again_under_its_id(house):
    for _ in range(2):
        with pytest.raises(Unavailable):
            await house.client.generate(
                "hi", constraints=Constraints(plan="broken"), request_id="a", retries=0
            )
    assert len([row async for row in house.admin.decisions()]) == 2


async def test_a_finished_request_as_a_stream_is_told_whole(house):
    first = await house.client.generate("2 + 2?", constraints=Constraints(plan="story"), request_id="a")
    events = [
        event
        async for event in house.client.stream(
            "2 + 2?", constraints=Constraints(plan="story"), request_id="a"
        )
    ]
    assert [type(event) for event in events] == [Started, AnswerDelta, Done]
    assert (events[0].decision_id, events[1].text, events[2].reply) == (first.decision_id, first.text, first)


async def test_a_stream_that_joins_a_running_one_gets_its_end(house):
    async def listen() -> list[StreamEvent]:
        return [event async for event in house.client.stream("hi", constraints=GATED, request_id="a")]

    first = asyncio.create_task(listen())
    await house.gated.entered.acquire()
    second = asyncio.create_task(listen())
    await until_running(house, 2)
    house.gated.gate.set()
    one, two = await asyncio.gather(first, second)
    assert [type(event) for event in two] == [Started, AnswerDelta, Done]
    assert two[1] == AnswerDelta("alpha beta")
    assert one[-1] == two[-1]
    assert house.gated.calls == 1


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_a_stream_that_waits_for_another_is_kept_alive(house, ask):
    first = house.stub.GenerateStream(ask(plan="gated", request_id="a"))
    await house.gated.entered.acquire()
    second = aiter(house.stub.GenerateStream(ask(plan="gated", request_id="a")))
    assert (await anext(second)).WhichOneof("event") == "keep_alive"
    house.gated.gate.set()
    kinds = [event.WhichOneof("event") async for event in second]
    assert [kind for kind in kinds if kind != "keep_alive"] == ["started", "answer_delta", "done"]
    first.cancel()


async def test_who_joined_takes_over_when_the_first_caller_leaves(house, ask):
    first = house.stub.Generate(ask("hi", plan="gated", request_id="a"))
    await house.gated.entered.acquire()
    others = [house.stub.Generate(ask("hi", plan="gated", request_id="a")) for _ in range(2)]
    await until_running(house, 3)
    first.cancel()
    await house.gated.entered.acquire()
    house.gated.gate.set()
    one, two = await asyncio.gather(*others)
    assert (one, one.answers[0].parts[0].text) == (two, "alpha beta")
    assert house.gated.calls == 2


async def test_a_request_without_an_id_gets_one_of_its_own(house, ask):
    replies = [await house.stub.Generate(ask()) for _ in range(2)]
    assert len({reply.request_id for reply in replies}) == 2
    assert all(len(reply.request_id) == 32 for reply in replies)


@pytest.mark.parametrize("server_settings", [{"replay_s": 0.0}])
async def test_with_no_time_to_replay_every_call_is_new(house):
    first = await house.client.generate("2 + 2?", request_id="a")
    again = await house.client.generate("2 + 2?", request_id="a")
    assert first.decision_id != again.decision_id


async def test_a_cancelled_joiner_leaves_the_first_alone(house, ask):
    first = asyncio.create_task(house.client.generate("hi", constraints=GATED, request_id="a"))
    await house.gated.entered.acquire()
    second = asyncio.create_task(house.client.generate("hi", constraints=GATED, request_id="a"))
    await until_running(house, 2)
    second.cancel()
    house.gated.gate.set()
    assert (await first).text == "alpha beta"


async def test_bodies_differ_by_what_is_asked_back(house, ask):
    await house.stub.Generate(ask(request_id="a"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stub.Generate(ask(request_id="a", return_samples=True))
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_who_joined_a_caller_that_leaves_while_it_is_written_to_takes_over(house, ask):
    # more than the connection takes by itself: the service waits for the caller
    house.gated.text = "x" * 10_000_000
    house.gated.gate.set()

    async def joins() -> Any:
        return (await house.stub.Generate(ask(plan="gated", request_id="a"))).answers[0].parts[0].text

    with capture_logs() as logged:
        first = house.stub.GenerateStream(ask(plan="gated", request_id="a"))
        assert (await first.read()).started.decision_id
        second = asyncio.create_task(joins())
        await until_running(house, 2)
        first.cancel()
        assert await second == house.gated.text
    assert house.gated.calls == 2
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert house.servers.refused == {}

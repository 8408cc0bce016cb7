"""GenerateStream: committed text only, nothing taken back, never silent for long."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from router.client import (
    AnswerDelta,
    Constraints,
    Done,
    InvalidRequest,
    SampleDelta,
    SampleEnded,
    Started,
    Unavailable,
    Verdict,
)
from router.v1 import apportion_router_pb2 as pb


async def told(house, plan: str, **ask):
    return [event async for event in house.client.stream("2 + 2?", constraints=Constraints(plan=plan), **ask)]


def text_of(events, answer: int = 0) -> str:
    return "".join(
        event.text for event in events if isinstance(event, AnswerDelta) and event.answer == answer
    )


@pytest.mark.parametrize("plan", ["story", "vote", "cascade", "small"])
@pytest.mark.parametrize("return_samples", [False, True])
async def test_the_deltas_joined_are_the_final_answer_whatever_the_plan(house, plan, return_samples):
    events = await told(house, plan, return_samples=return_samples)
    assert isinstance(events[0], Started) and isinstance(events[-1], Done)
    assert text_of(events) == events[-1].reply.text != ""
    assert sum(isinstance(event, Started | Done) for event in events) == 2


async def test_an_escalating_cascade_shows_nothing_of_the_stage_that_was_left(house):
    events = await told(house, "cascade")
    assert [event.text for event in events if isinstance(event, AnswerDelta)] == [
        "Once upon a time there was a fox"
    ]


async def test_a_plan_of_one_sample_shows_its_first_word_by_itself(house):
    events = await told(house, "story")
    assert events[0].streams
    shown = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert shown[0] == "Once"
    assert "".join(shown) == "Once upon a time there was a fox"


async def test_samples_and_verdicts_are_told_only_when_asked_for(house):
    kinds = {type(event) for event in await told(house, "vote")}
    assert kinds == {Started, AnswerDelta, Done}
    kinds = {type(event) for event in await told(house, "vote", return_samples=True)}
    assert kinds == {Started, SampleDelta, SampleEnded, Verdict, AnswerDelta, Done}


async def test_every_answer_is_streamed_when_several_are_wanted(house):
    events = await told(house, "vote", answers=2)
    assert [text_of(events, answer) for answer in (0, 1)] == [
        answer.text for answer in events[-1].reply.answers
    ]


async def test_the_first_word_arrives_before_the_last_is_there(house, ask):
    call = house.stub.GenerateStream(ask(plan="gated"))
    assert (await call.read()).started.commit == pb.COMMIT_FIRST_TOKEN
    assert (await call.read()).answer_delta.text == "alpha"
    house.gated.gate.set()
    assert (await call.read()).answer_delta.text == " beta"
    assert (await call.read()).done.reply.answers[0].parts[0].text == "alpha beta"


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_silence_is_broken_by_keep_alives_that_the_client_does_not_show(house, ask):
    call = aiter(house.stub.GenerateStream(ask(plan="gated")))
    kinds = [(await anext(call)).WhichOneof("event") for _ in range(4)]
    assert kinds == ["started", "answer_delta", "keep_alive", "keep_alive"]
    house.gated.gate.set()
    rest = [event.WhichOneof("event") async for event in call]
    assert [kind for kind in rest if kind != "keep_alive"] == ["answer_delta", "done"]


async def test_no_keep_alive_comes_while_there_is_something_to_tell(house, ask):
    kinds = [event.WhichOneof("event") async for event in house.stub.GenerateStream(ask(plan="story"))]
    assert "keep_alive" not in kinds


async def test_leaving_the_loop_frees_the_backend(house):
    events = house.client.stream("2 + 2?", constraints=Constraints(plan="gated"))
    await anext(events)
    await house.gated.entered.acquire()
    await events.aclose()
    await asyncio.wait_for(house.gated.left.acquire(), timeout=1.0)
    assert await house.servers.admission.drain(5.0)
    assert house.service.ledger.balance().reserved == 0


async def test_a_failure_ends_the_stream_with_its_status_and_decision(house):
    with pytest.raises(Unavailable) as caught:
        await told(house, "broken", retries=0)
    assert caught.value.reason == "NO_BACKEND"
    assert (await house.admin.decision(caught.value.decision_id)).decision.plan == "broken"


async def test_a_bad_request_fails_before_the_first_event(house):
    with pytest.raises(InvalidRequest):
        await told(house, "nowhere")


async def test_the_decision_id_is_in_the_trailers_of_a_stream(house, ask):
    call = house.stub.GenerateStream(ask(plan="story"))
    events = [event async for event in call]
    assert dict(await call.trailing_metadata())["apportion-decision-id"] == events[0].started.decision_id


@pytest.mark.parametrize("keep_alive_s", [0.02])
async def test_a_caller_without_a_deadline_who_reads_nothing_gives_its_place_back(house, ask):
    house.gated.text = "x" * 12_000_000  # more than the connection takes by itself
    house.gated.gate.set()
    call = house.stub.GenerateStream(ask(plan="gated"))
    async with asyncio.timeout(10.0):
        await house.gated.left.acquire()
        await house.servers.admission.drain(5.0)
    assert house.servers.admission.calls == 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

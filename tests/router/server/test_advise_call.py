"""Advise through a real server: the same decisions as Generate, over samples that the caller draws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from router.admission.tenant_limits import TenantLimits
from router.advising.advisor import Advisor
from router.advising.held_reservations import HeldReservations
from router.config_access import LimitsConfig
from router.domain.backend_state import BackendState
from router.errors import DeadlineExceeded
from router.random_ids import RandomIds
from router.serving.advise import Advising
from router.serving.calls import Call
from router.serving.known import known_names
from router.v1 import apportion_router_pb2 as pb


def used(tokens_in: int, out: int) -> pb.UsageItem:
    item = pb.UsageItem(out=out)
    setattr(item, "in", tokens_in)
    return item


def sample(name: str, text: str, **more: Any) -> pb.AdviseRequest:
    parts = [pb.Part(text=text)] if text else []
    more = {"finished": True, "usage": used(10, 5), **more}
    return pb.AdviseRequest(sample=pb.AdvisedSample(sample_id=name, parts=parts, **more))


@pytest.fixture
def advise(house, ask):
    """Opens a stream on a plan, and says what was sent and read in few words."""

    class Stream:
        def __init__(self, plan: str, **fields: Any) -> None:
            self.call: Any = house.stub.Advise(timeout=60.0)
            self.opening = pb.AdviseRequest(request=ask(plan=plan, **fields))

        async def open(self) -> Any:
            await self.call.write(self.opening)
            return await self.call.read()

        async def bring(self, name: str, text: str, **more: Any) -> Any:
            await self.call.write(sample(name, text, **more))
            return await self.call.read()

        async def end(self) -> Any:
            await self.call.done_writing()
            with suppress(grpc.aio.AioRpcError):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            return await self.call.code()

    return Stream


def kind(reply: pb.AdviseReply) -> str:
    return str(reply.WhichOneof("advice"))


async def row(house: Any, decision_id: str) -> Any:
    return await house.service.store.decision(decision_id)


async def test_the_first_reply_says_which_backend_how_often_and_with_what(house, advise):
    stream = advise("vote", sampling=pb.Sampling(max_tokens=7, temperature=0.5))
    first = await stream.open()
    assert (kind(first), first.more.backend, first.more.count) == ("more", "small", 1)
    assert (first.more.sampling.max_tokens, first.more.sampling.temperature) == (7, 0.5)
    assert [turn.parts[0].text for turn in first.more.messages] == ["2 + 2?"]
    assert first.decision_id
    stream.call.cancel()


async def test_agreeing_samples_are_enough_and_the_answer_is_theirs(house, advise):
    stream = advise("vote")
    await stream.open()
    assert kind(await stream.bring("a", "4")) == "more"
    end = await stream.bring("b", "The answer is 4")
    assert (kind(end), end.enough.stop_reason) == ("enough", "enough: agreement")
    assert (end.enough.answer.parts[0].text, end.enough.answer.sample_id) == ("4", "a")
    assert await stream.end() is grpc.StatusCode.OK


async def test_it_decides_what_generate_decides_over_the_same_samples(house, advise, ask):
    served = await house.stub.Generate(ask(plan="cascade", request_id="one"))
    stream = advise("cascade", request_id="two")
    await stream.open()
    said = {"small": iter(["4", "4"]), "story": iter(["Once upon a time there was a fox"])}
    told: list[pb.AdviseReply] = []
    backend = "small"
    while not told or kind(told[-1]) != "enough":
        told.append(await stream.bring(f"s{len(told)}", next(said[backend])))
        backend = told[-1].escalate.next.backend or backend
    assert [kind(reply) for reply in told] == ["more", "escalate", "enough"]
    assert told[-1].enough.answer.parts == served.answers[0].parts
    assert told[-1].enough.stop_reason == served.decision.stop_reason
    await stream.end()
    mine, theirs = [await row(house, reply.decision_id) for reply in (told[-1], served)]
    assert (mine.plan, mine.digest, mine.status) == (theirs.plan, theirs.digest, theirs.status)
    assert [(one.backend, one.stage, one.answer_class) for one in mine.samples] == [
        (one.backend, one.stage, one.answer_class) for one in theirs.samples
    ]


async def test_more_at_the_most_samples_of_a_stage_escalates(house, advise):
    stream = advise("cascade")
    await stream.open()
    assert kind(await stream.bring("a", "4")) == "more"
    up = await stream.bring("b", "5")
    assert (kind(up), up.escalate.next.backend, up.escalate.next.count) == ("escalate", "story", 1)
    end = await stream.bring("c", "six")
    assert (kind(end), end.enough.stop_reason) == ("enough", "exhausted")
    stream.call.cancel()


async def test_growing_samples_do_not_vote_and_ask_for_nothing_new(house, advise):
    stream = advise("vote")
    await stream.open()
    grown = await stream.bring("a", "4", finished=False, usage=used(10, 1))
    assert (kind(grown), grown.more.count) == ("more", 0)
    assert (await stream.bring("a", "4")).more.count == 1
    assert kind(await stream.bring("b", "4")) == "enough"
    await stream.end()
    assert (await row(house, grown.decision_id)).usage["small"].tokens_out == 10


async def test_a_failed_backend_is_left_for_the_next_stage(house, advise):
    stream = advise("cascade")
    await stream.open()
    up = await stream.bring("a", "", finish_reason="error", usage=used(0, 0))
    assert (kind(up), up.escalate.next.backend) == ("escalate", "story")
    assert kind(await stream.bring("b", "a fox")) == "enough"
    await stream.end()
    assert any("'small' failed" in note for note in (await row(house, up.decision_id)).degraded)


async def test_a_backend_that_an_operator_disables_is_left_at_once(house, advise):
    stream = advise("cascade")
    await stream.open()
    await house.admin.set_backend_state("small", BackendState.DISABLE)
    up = await stream.call.read()
    assert (kind(up), up.escalate.next.backend) == ("escalate", "story")
    stream.call.cancel()


async def test_who_sends_nothing_more_gets_the_answer_so_far(house, advise):
    stream = advise("vote")
    await stream.open()
    await stream.bring("a", "4")
    await stream.call.done_writing()
    end = await stream.call.read()
    assert (kind(end), end.enough.answer.parts[0].text) == ("enough", "4")


async def test_who_sends_nothing_at_all_gets_no_answer(house, advise):
    stream = advise("vote")
    await stream.open()
    assert await stream.end() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the stream ended before a sample did" in await stream.call.details()


async def test_a_caller_cannot_take_a_backend_from_the_others(house, advise):
    """A sample that is longer than it may be is charged, and its backend stays in service."""
    stream = advise("small", sampling=pb.Sampling(max_tokens=5))
    await stream.open()
    end = await stream.bring("a", "4", usage=used(1, 6))
    assert kind(end) == "enough"
    await stream.end()
    states = {backend.name: backend.state for backend in await house.admin.backends()}
    assert states["small"] is BackendState.ENABLE
    assert (await row(house, end.decision_id)).degraded


async def test_a_deadline_ends_in_the_answer_so_far(house, ask):
    call = house.stub.Advise(timeout=1.0)
    await call.write(pb.AdviseRequest(request=ask(plan="vote")))
    await call.read()
    await call.write(sample("a", "4"))
    assert kind(await call.read()) == "more"
    end = await call.read()
    assert (kind(end), end.enough.stop_reason) == ("enough", "the deadline")
    call.cancel()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (sample("", "4"), "sample.sample_id"),
        (sample("x" * 129, "4"), "sample.sample_id"),
        (sample("b", "4", backend="story"), "no sample of backend 'story' is waited for; allowed: small"),
        (sample("a", "4"), "sample 'a' has ended"),
        (sample("b", "4", confidence=1.5), "sample.confidence"),
        (sample("b", "4", mean_logprob=0.1), "sample.mean_logprob"),
        (sample("b", "4", first_entropy=-0.1), "sample.first_entropy"),
        (sample("b", "4", hidden=[float("nan")]), "sample.hidden"),
        (sample("b", "4", latency=Duration(seconds=-1)), "sample.latency"),
        (sample("b", "4", usage=used(-1, 0)), "sample.usage.in"),
        (pb.AdviseRequest(request=pb.GenerateRequest()), "the query was sent already"),
        (
            pb.AdviseRequest(sample=pb.AdvisedSample(sample_id="b", parts=[pb.Part(image_url="u")])),
            "parts[0]",
        ),
    ],
)
async def test_samples_that_cannot_be_are_refused_by_name(house, advise, bad, said):
    stream = advise("vote")
    await stream.open()
    assert kind(await stream.bring("a", "4")) == "more"
    await stream.call.write(bad)
    assert await stream.end() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in await stream.call.details()


async def test_a_stream_begins_with_the_query(house):
    for opening in ([], [sample("a", "4")]):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in house.stub.Advise(iter(opening), timeout=60.0):
                pass
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "`request` first" in str(caught.value.details())


async def test_a_query_that_cannot_be_paid_for_is_refused_before_anything_is_asked(house, advise):
    await house.admin.set_budget(3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await advise("vote").open()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("server_settings", [{"max_queries": 1}])
async def test_a_call_that_never_sends_its_query_gives_its_place_back(house, ask, monkeypatch):
    monkeypatch.setattr("router.serving.advise.OPENING_S", 0.2)
    silent = house.stub.Advise()
    await silent.wait_for_connection()
    assert await silent.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "did not come within 0.2 s" in await silent.details()
    await house.stub.Generate(ask(plan="small"))


async def test_a_caller_who_reads_nothing_is_not_waited_for(house, ask, monkeypatch):
    monkeypatch.setattr("router.connections.slow_reader.UNREAD_S", 0.1)
    books, limits = house.service.allocator.books, TenantLimits(LimitsConfig())
    advisor = Advisor(house.service.allocator, HeldReservations(books), {})

    async def messages() -> AsyncIterator[Any]:
        yield pb.AdviseRequest(request=ask(plan="vote"))
        await asyncio.Event().wait()

    async def unread(reply: Any) -> None:
        await asyncio.Event().wait()

    advising = Advising(advisor, known_names(house.service), limits)
    answered = advising.answer(messages(), Call(), unread, RandomIds())
    with pytest.raises(DeadlineExceeded, match="read nothing"):
        await asyncio.wait_for(answered, 10.0)


@pytest.mark.parametrize("server_settings", [{"max_queries": 10}])
async def test_the_last_tenth_of_the_places_is_for_urgent_queries_of_advice_as_well(house, ask, advise):
    with ExitStack() as others:
        for _ in range(9):
            others.enter_context(house.servers.admission.enter(query=True))
        refused = advise("vote")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused.open()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert kind(await advise("vote", priority=1).open()) == "more"

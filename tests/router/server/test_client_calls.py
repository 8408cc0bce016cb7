"""The client against servers that misbehave: what it tries again, what it does not, and what it never loses."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from router.checks.queries import Known
from router.client import (
    SERVICE_CONFIG,
    AnswerDelta,
    ApportionError,
    Client,
    Constraints,
    Mode,
    Preferences,
    Report,
    Sampling,
    StreamEvent,
    SyncClient,
    Tool,
    TooLate,
    Unavailable,
    message,
)
from router.clients.errors import Busy, InvalidRequest, OutOfBudget
from router.clients.retry import Attempts
from router.errors import (
    BackendGarbled,
    BackendTimeout,
    BackendUnavailable,
    BudgetExceeded,
    Draining,
    Overloaded,
    RouterError,
)
from router.serving.calls import Calls
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc
from router.wire.parts import ON_UNAVAILABLE
from router.wire.query import read_options, read_query

REPLY = pb.GenerateReply(
    decision_id="d",
    status=pb.STATUS_ANSWERED,
    answers=[pb.Answer(parts=[pb.Part(text="4")])],
    decision=pb.DecisionInfo(plan="small", mode=pb.MODE_APPLY),
)


@dataclass
class Flaky:
    """A service that fails as often as it is told to, then answers."""

    failures: list[RouterError] = field(default_factory=list)
    requests: list[pb.GenerateRequest] = field(default_factory=list)
    event_first: bool = False

    async def generate(self, request: pb.GenerateRequest, call: object) -> pb.GenerateReply:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return REPLY

    async def decide(self, request: pb.GenerateRequest, call: object) -> pb.DecideReply:
        await self.generate(request, call)
        return pb.DecideReply(decision=REPLY.decision)

    async def generate_stream(
        self, request: pb.GenerateRequest, call: object, send: Callable[..., Any]
    ) -> None:
        if self.event_first:
            await send(pb.GenerateStreamEvent(started=pb.Started(decision_id="d")))
        await self.generate(request, call)
        await send(pb.GenerateStreamEvent(answer_delta=pb.AnswerDelta(text="4")))


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


@pytest.fixture
async def target(flaky: Flaky) -> AsyncIterator[str]:
    server = grpc.aio.server()
    calls = Calls(pb.DESCRIPTOR.services_by_name["Router"], flaky, 16 * 1024 * 1024)
    server.add_generic_rpc_handlers((calls.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


class InThreads:
    """The blocking client, each of its calls in a thread: so that every case here is its case too."""

    def __init__(self, client: SyncClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)
        return lambda *given, **named: asyncio.to_thread(call, *given, **named)

    async def stream(self, prompt: str) -> AsyncIterator[StreamEvent]:
        for event in await asyncio.to_thread(lambda: list(self._client.stream(prompt))):
            yield event


@pytest.fixture(params=["asyncio", "blocking"])
async def client(request: pytest.FixtureRequest, target: str) -> AsyncIterator[Client | InThreads]:
    if request.param == "asyncio":
        async with Client(target, timeout_s=20.0) as client:
            yield client
    else:
        with SyncClient(target, timeout_s=20.0) as blocking:
            yield InThreads(blocking)


def shed() -> Overloaded:
    return Overloaded("busy", retry_after_s=0.001)


async def test_an_option_that_is_misspelt_is_refused_and_nothing_is_asked(client, flaky):
    with pytest.raises(InvalidRequest, match=r"unknown option 'constrains'; choose from .*constraints"):
        await client.generate("2 + 2?", constrains={"max_cost_micros": 5})
    assert not flaky.requests


@pytest.mark.parametrize("prompt", [None, ["2 + 2?"], [{"role": "user", "content": "2 + 2?"}]])
async def test_a_prompt_of_another_type_is_refused_with_those_that_there_are(client, prompt):
    with pytest.raises(InvalidRequest, match="prompt: wants a text or a sequence of Message, got "):
        await client.generate(prompt)


async def test_what_was_shed_is_tried_again_under_the_same_id(client, flaky):
    flaky.failures = [shed(), shed()]
    assert (await client.generate("2 + 2?")).text == "4"
    assert len(flaky.requests) == 3
    assert len({request.request_id for request in flaky.requests}) == 1


@pytest.mark.parametrize("error", [BackendUnavailable("down"), BackendTimeout("slow"), BackendGarbled("?")])
async def test_where_all_model_servers_were_tried_one_question_stays_one_decision(
    client, target, flaky, error
):
    """Also for gRPC's own retries, whose clients read no reason."""
    flaky.failures = [error] * 9
    with pytest.raises(Unavailable):
        await client.generate("2 + 2?")
    with pytest.raises(Unavailable):
        [event async for event in client.stream("2 + 2?")]
    async with grpc.aio.insecure_channel(target, [("grpc.service_config", SERVICE_CONFIG)]) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await pb_grpc.RouterStub(channel).Generate(pb.GenerateRequest(request_id="a"))
    assert len(flaky.requests) == 3


async def test_a_replica_that_goes_down_is_left_for_another(client, flaky):
    draining = Draining("bye")
    draining.retry_after_s = 0.001
    flaky.failures = [draining]
    assert (await client.generate("2 + 2?")).text == "4"


async def test_no_more_is_tried_than_asked_for(client, flaky):
    flaky.failures = [shed(), shed(), shed()]
    with pytest.raises(Busy):
        await client.generate("2 + 2?", retries=1)
    assert len(flaky.requests) == 2


async def test_a_wait_beyond_the_deadline_is_not_begun(client, flaky):
    """The caller learns at once that there is no money, not at the deadline that there was no time."""
    flaky.failures = [BudgetExceeded("spent", retry_after_s=3600.0)]
    with pytest.raises(OutOfBudget) as caught:
        await client.generate("2 + 2?", timeout_s=10.0)
    assert (caught.value.retry_after_s, len(flaky.requests)) == (3600.0, 1)


async def test_a_budget_that_never_covers_it_is_not_tried_again(client, flaky):
    flaky.failures = [BudgetExceeded("above the whole limit")]
    with pytest.raises(OutOfBudget):
        await client.generate("2 + 2?")
    assert len(flaky.requests) == 1


async def test_a_stream_is_tried_again_only_before_its_first_event(client, flaky):
    flaky.failures = [shed()]
    assert [event async for event in client.stream("2 + 2?")] == [AnswerDelta("4")]
    flaky.failures, flaky.event_first = [shed()], True
    with pytest.raises(Busy):
        [event async for event in client.stream("2 + 2?")]
    assert len(flaky.requests) == 3


async def test_a_decision_is_not_made_twice_because_its_reply_was_lost(client, flaky):
    """`Decide` logs a row: it is tried again only where the service says that it did nothing."""
    flaky.failures = [RouterError("?")]
    with pytest.raises(ApportionError):
        await client.decide("2 + 2?")
    flaky.failures = [shed()]
    await client.decide("2 + 2?")
    assert len(flaky.requests) == 3


async def test_every_option_arrives_as_it_was_said(client, flaky):
    """Through the wire and the server's own reader, back to our words."""
    sampling = Sampling(
        temperature=0.0, top_p=0.5, seed=-1, max_tokens=9, stop=("x",), logit_bias={"7": -1.0}
    )
    limits = Constraints(max_cost_micros=0, max_ttft_s=1.5, min_quality=0.5, denied_backends=("l",), plan="p")
    turns = [message("system", "be brief"), message("user", "hi")]
    await client.generate(
        turns,
        request_id="r",
        session_id="s",
        tools=[Tool("f", "d", "{}")],
        tool_choice="f",
        response_format={"type": "json_object"},
        sampling=sampling,
        answers=2,
        task_hint="math",
        constraints=limits,
        preferences=Preferences(2.0, 0.0),
        features={"n": 0.0},
        mode=Mode.OBSERVE,
        explore=False,
        return_samples=True,
        priority=-3,
        metadata={"k": "v"},
        extra={"g": [1]},
        tenant="t",
    )
    known = Known(frozenset("p"), frozenset("l"), extra=frozenset("g"))
    query = read_query(flaky.requests[0], known, lambda: "new")
    assert query.messages == tuple(turns)
    assert (query.sampling, query.constraints, query.preferences) == (sampling, limits, Preferences(2.0, 0.0))
    assert (query.request_id, query.session_id, query.tenant, query.task_hint) == ("r", "s", "t", "math")
    assert (query.tools, query.tool_choice) == ((Tool("f", "d", "{}"),), "f")
    assert json.loads(query.response_format) == {"type": "json_object"}
    assert (query.answers, query.priority, query.features) == (2, -3, {"n": 0.0})
    assert (query.metadata, query.extra) == ({"k": "v"}, {"g": [1]})
    options = read_options(flaky.requests[0], stream=False, time_left_s=None)
    assert (options.mode, options.explore) == (Mode.OBSERVE, False)


def test_every_way_to_be_unavailable_has_its_number():
    assert set(ON_UNAVAILABLE) == set(pb.OnUnavailable.values())


def test_waits_grow_and_are_spread():
    attempts = Attempts(1e9, retries=10, rng=random.Random(0))
    error = Unavailable("", status="UNAVAILABLE")
    waits = [attempts.wait_s(error, 0.0) or 0.0 for _ in range(6)]
    stretched = [wait / floor for wait, floor in zip(waits, (0.1, 0.2, 0.4, 0.8, 1.6, 2.0), strict=True)]
    assert all(1.0 <= factor <= 1.25 for factor in stretched)
    assert len(set(stretched)) == 6


async def test_a_deadline_that_has_passed_is_too_late(client, flaky):
    with pytest.raises(TooLate):
        await client.generate("2 + 2?", timeout_s=-1.0)
    assert not flaky.requests


async def test_the_blocking_client_decides_estimates_and_reports(house):
    def talk():
        with SyncClient(house.addresses.router, timeout_s=20.0) as client:
            decided = client.decide("2 + 2?")
            estimate = client.estimate("2 + 2?")
            one = client.report(decided.decision_id, "correct", True)
            many = client.report_many([Report("score", 0.5, decision_id=decided.decision_id)])
            events = client.stream("hi", constraints=Constraints(plan="gated"))
            event = next(events)
            events.close()  # leaving cancels the call
            return decided, estimate, one, many, event

    decided, estimate, one, many, event = await asyncio.to_thread(talk)
    assert decided.decision.plan == estimate.likeliest_plan
    assert (one.duplicate, many.committed) == (False, 1)
    assert event.plan == "gated"
    await asyncio.wait_for(house.gated.left.acquire(), timeout=1.0)


async def test_a_foreign_client_with_our_service_config_tries_again(target, flaky):
    """gRPC's own retries, for clients of other languages; the same config that our documents hand out."""
    flaky.failures = [Draining("bye"), Draining("bye")]
    async with grpc.aio.insecure_channel(target, [("grpc.service_config", SERVICE_CONFIG)]) as channel:
        reply = await pb_grpc.RouterStub(channel).Generate(pb.GenerateRequest(request_id="a"))
    assert (reply.decision_id, len(flaky.requests)) == ("d", 3)

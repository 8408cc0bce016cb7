"""Generate, Decide, EstimateCost and outcomes through a real server."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from router.client import (
    ApportionError,
    Busy,
    Constraints,
    InvalidRequest,
    Refused,
    Report,
    Status,
    Unavailable,
)
from router.serving.calls import Calls
from router.serving.listen import grpc_server
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc

TRAILER = "apportion-decision-id"


def trailer(metadata) -> dict[str, str | bytes]:
    return dict(metadata)


async def test_the_reply_says_what_was_answered_what_it_cost_and_why(house):
    reply = await house.client.generate(
        "2 + 2?", constraints=Constraints(plan="vote"), return_probabilities=True
    )
    assert (reply.text, reply.status, reply.decision.plan) == ("4", Status.ANSWERED, "vote")
    assert reply.decision.policy == "forced"
    assert reply.decision.stop_reason.startswith("enough")
    assert reply.decision.probabilities == {"vote": 1.0}
    assert reply.usage.samples == 2
    assert reply.usage_by_backend["small"] == reply.usage
    assert reply.usage.cost_exact == reply.usage.tokens_in * 1.0 + reply.usage.tokens_out * 2.0


async def test_samples_and_probabilities_are_told_only_when_asked_for(house):
    plain = await house.client.generate("2 + 2?", constraints=Constraints(plan="vote"))
    assert (plain.samples, plain.decision.probabilities) == ((), {})
    told = await house.client.generate("2 + 2?", constraints=Constraints(plan="vote"), return_samples=True)
    assert [(sample.text, sample.answer_class) for sample in told.samples] == [("4", 0), ("4", 0)]


async def test_more_answers_than_one_are_given_when_wanted(house):
    reply = await house.client.generate("2 + 2?", constraints=Constraints(plan="cascade"), answers=2)
    assert len(reply.answers) >= 1
    several = await house.client.generate("2 + 2?", constraints=Constraints(plan="vote"), answers=2)
    assert [answer.text for answer in several.answers] == ["4", "4"]


async def test_the_decision_id_is_in_the_trailers_of_a_good_call(house, ask):
    call = house.stub.Generate(ask(plan="small"))
    reply = await call
    assert trailer(await call.trailing_metadata())[TRAILER] == reply.decision_id


async def test_the_decision_id_is_in_the_trailers_of_a_failed_call_and_leads_to_its_row(house, ask):
    request = ask(plan="broken")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stub.Generate(request)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    row = await house.admin.decision(str(trailer(caught.value.trailing_metadata())[TRAILER]))
    assert (row.status, row.decision.plan) == (Status.FAILED, "broken")
    assert "scripted fault" in row.error


async def test_a_request_that_the_model_server_refuses_is_a_failed_precondition(house):
    with pytest.raises(Refused) as caught:
        await house.client.generate("2 + 2?", constraints=Constraints(plan="refusing"))
    assert (caught.value.reason, bool(caught.value.decision_id)) == ("BACKEND_REFUSED", True)


async def test_limits_that_no_plan_keeps_are_a_failed_precondition(house):
    with pytest.raises(Refused) as caught:
        await house.client.generate("2 + 2?", constraints=Constraints(max_cost_micros=0))
    assert caught.value.reason == "NO_PLAN"


async def test_an_error_names_the_field_and_what_is_allowed(house):
    with pytest.raises(InvalidRequest) as caught:
        await house.client.generate("2 + 2?", constraints=Constraints(plan="tiny"))
    assert (caught.value.field, caught.value.reason) == ("constraints.plan", "INVALID")
    assert "small, story, vote" in caught.value.message


async def test_an_error_of_ours_tells_the_caller_nothing_about_itself(house, capsys):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    house.service.allocator.estimate = broken
    with pytest.raises(ApportionError) as caught:
        await house.client.estimate("2 + 2?")
    assert (caught.value.status, caught.value.reason) == ("INTERNAL", "INTERNAL")
    assert "secret" not in repr(caught.value) and "ZeroDivision" not in caught.value.message
    assert "secret detail" in capsys.readouterr().out  # the log line has it


@pytest.mark.parametrize("server_settings", [{"max_queries": 1}])
async def test_a_query_too_many_is_shed_before_any_work_and_told_when_to_come_back(house, ask):
    running = house.stub.Generate(ask(plan="gated"))
    await house.gated.entered.acquire()
    with pytest.raises(Busy) as caught:
        await house.client.generate("2 + 2?", constraints=Constraints(plan="gated"), retries=0)
    assert (caught.value.reason, caught.value.retry_after_s) == ("OVERLOAD", 1.0)
    assert house.gated.calls == 1
    house.gated.gate.set()
    await running


async def test_cancelling_frees_the_backend_settles_the_ledger_and_logs_the_row(house, ask):
    call = house.stub.Generate(ask(plan="gated"))
    await house.gated.entered.acquire()
    assert house.service.ledger.balance().reserved > 0
    call.cancel()
    await asyncio.wait_for(house.gated.left.acquire(), timeout=1.0)
    assert await house.servers.admission.drain(5.0)  # until the call has ended
    balance = house.service.ledger.balance()
    assert (balance.reserved, balance.spent) == (0, 5 * 1 + 2 * 2)
    rows = [row async for row in house.admin.decisions()]
    assert [row.status for row in rows] == [Status.CANCELLED]


async def test_a_deadline_that_passes_frees_the_backend(house):
    with pytest.raises(ApportionError) as caught:
        await house.client.generate("2 + 2?", constraints=Constraints(plan="gated"), timeout_s=0.3)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    await asyncio.wait_for(house.gated.left.acquire(), timeout=1.0)


async def test_a_deadline_in_the_past_is_a_deadline_exceeded(house):
    with pytest.raises(ApportionError) as caught:
        await house.client.generate("2 + 2?", timeout_s=-1.0)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert house.gated.calls == 0


async def test_decide_logs_a_decision_and_draws_nothing(house):
    decided = await house.client.decide("2 + 2?", constraints=Constraints(plan="gated"))
    assert (decided.decision.plan, decided.plan.name) == ("gated", "gated")
    assert [(item.plan, item.probability) for item in decided.forecasts] == [("gated", 1.0)]
    assert house.gated.calls == 0
    assert (await house.admin.decision(decided.decision_id)).decision.plan == "gated"


async def test_an_estimate_logs_nothing_and_says_why_plans_are_left_out(house):
    estimate = await house.client.estimate("2 + 2?", constraints=Constraints(denied_backends=("small",)))
    assert estimate.likeliest_plan == "story"
    assert set(estimate.infeasible) == {"small", "vote", "wide", "cascade"}
    assert estimate.worst_cost_micros >= estimate.expected_cost_micros > 0
    assert [row async for row in house.admin.decisions()] == []


async def test_an_outcome_is_joined_to_its_decision_and_a_second_report_changes_nothing(house):
    reply = await house.client.generate("2 + 2?")
    first = await house.client.report(reply.decision_id, "correct", True, source="grader")
    again = await house.client.report(reply.decision_id, "correct", False, source="grader")
    assert (first.duplicate, again.duplicate, first.key) == (False, True, again.key)
    row = await house.admin.decision(reply.decision_id)
    assert [(item.metric, item.value, item.kind) for item in row.outcomes] == [("correct", True, "bool")]


async def test_an_outcome_of_another_tenants_decision_is_not_joined(house):
    reply = await house.client.generate("2 + 2?", tenant="acme")
    await house.client.report(reply.decision_id, "correct", True)
    await house.client.report(reply.decision_id, "thumbs", "up", tenant="acme")
    row = await house.admin.decision(reply.decision_id)
    assert [item.metric for item in row.outcomes] == ["thumbs"]


async def test_bad_reports_on_a_stream_are_named_and_the_others_committed(house):
    reply = await house.client.generate("2 + 2?")
    reports = [
        Report("correct", True, decision_id=reply.decision_id),
        Report("Not A Metric", 1.0, decision_id=reply.decision_id),
        Report("score", float("nan"), decision_id=reply.decision_id),
        Report("correct", True, decision_id=reply.decision_id),
        Report("score", 0.5),
    ]
    result = await house.client.report_many(reports)
    assert (result.committed, result.duplicates, result.refused) == (1, 1, 3)
    assert [refusal[:2] for refusal in result.refusals] == [(1, "metric"), (2, "number"), (4, "subject")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "subject"),
        ({"decision_id": "d"}, "value"),
        ({"decision_id": "d", "label": "x" * 257}, "label"),
        ({"decision_id": "d", "number": float("inf")}, "number"),
        ({"decision_id": "d", "bool": True, "weight": 0.0}, "weight"),
        ({"decision_id": "d", "bool": True, "weight": 1001.0}, "weight"),
        ({"decision_id": "d", "bool": True, "source": "x" * 129}, "source"),
        ({"decision_id": "d" * 129, "bool": True}, "decision_id"),
    ],
)
async def test_a_bad_report_names_its_field(house, fields, field):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stub.ReportOutcome(pb.ReportOutcomeRequest(metric="m", **fields))
    assert (caught.value.code(), str(caught.value.details()).startswith(f"{field}:")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        True,
    )


async def test_a_call_whose_room_is_not_built_says_so():
    server = grpc_server(1 << 20)
    service = pb.DESCRIPTOR.services_by_name["Router"]
    server.add_generic_rpc_handlers((Calls(service, object(), 1 << 20).handler(),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.RouterStub(channel).GetBatch(pb.GetBatchRequest())
    await server.stop(None)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "Router/GetBatch is part of the wire" in str(caught.value.details())


async def test_a_service_that_is_not_there_is_unavailable():
    from router.client import Client

    async with Client("127.0.0.1:1") as client:
        with pytest.raises(Unavailable):
            await client.generate("2 + 2?", timeout_s=5.0, retries=0)


@pytest.mark.parametrize("server_settings", [{"max_message_bytes": 6000}])
async def test_samples_that_make_the_reply_too_large_are_left_out_and_it_says_so(house):
    house.gated.text = "x" * 3000
    house.gated.gate.set()
    reply = await house.client.generate("hi", constraints=Constraints(plan="gated"), return_samples=True)
    assert (len(reply.text), reply.samples) == (3000, ())
    assert "1 samples left out: the reply was too large" in reply.decision.degraded


@pytest.mark.parametrize("server_settings", [{"max_message_bytes": 6000}])
async def test_an_answer_that_no_message_holds_is_an_error_that_leads_to_the_row(house):
    house.gated.text = "x" * 7000
    house.gated.gate.set()
    with pytest.raises(InvalidRequest, match="the reply has") as caught:
        await house.client.generate("hi", constraints=Constraints(plan="gated"))
    row = await house.service.store.decision(caught.value.decision_id)
    assert row.status is Status.ANSWERED

"""Real server, real client, model servers as processes: what a caller sees, and what is left behind."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from predictors.observation import Constraints, Sampling
from router.client import AdminClient, AnswerDelta, ApportionError, Client, Done, Report, Status

FREED_WITHIN_S = 1.0


def freed(state: dict[str, int]) -> bool:
    return state["running"] == 0


async def reserved(server) -> int:
    async with AdminClient(server.admin) as admin:
        return (await admin.status()).budget_reserved_micros


async def test_a_query_is_answered_logged_and_its_outcome_joined(served):
    async with Client(served.router) as client, AdminClient(served.admin) as admin:
        reply = await client.generate("What is 6 times 7?")
        assert reply.text
        assert reply.decision.plan == "small"
        assert reply.decision.policy == "untrained"
        assert reply.decision.degraded
        await client.report(reply.decision_id, "correct", True)
        logged = await admin.decision(reply.decision_id)
        assert logged.decision.plan == "small"
        assert len(logged.outcomes) == 1


async def test_a_streamed_cascade_that_escalates_shows_the_final_answer_alone(served):
    wanted = Constraints(plan="cascade")
    async with Client(served.router) as client:
        shown, last = [], None
        async for event in client.stream("Tell me a story", constraints=wanted, return_samples=True):
            if isinstance(event, AnswerDelta):
                shown.append(event.text)
            last = event
    assert isinstance(last, Done)
    assert {sample.backend for sample in last.reply.samples} == {"small", "large"}
    large = next(sample for sample in last.reply.samples if sample.backend == "large")
    assert "".join(shown) == large.text == last.reply.text


async def test_a_streamed_vote_shows_the_winner_alone(served):
    async with Client(served.router) as client:
        shown, last = [], None
        async for event in client.stream("Which?", constraints=Constraints(plan="vote")):
            if isinstance(event, AnswerDelta):
                shown.append(event.text)
            last = event
    assert isinstance(last, Done)
    assert "".join(shown) == last.reply.text


async def test_a_call_that_is_cancelled_frees_the_model_server_and_settles(served, stubs):
    small, _ = stubs
    async with Client(served.router) as client:
        task = asyncio.create_task(client.generate("A long one", constraints=Constraints(plan="vote")))
        await asyncio.to_thread(small.until, lambda state: state["running"] == 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        state = await asyncio.to_thread(small.until, freed, FREED_WITHIN_S)
    assert state["running"] == 0
    assert state["aborted"] == 4
    assert await reserved(served) == 0


async def test_a_stream_that_is_left_frees_the_model_server_and_settles(served, stubs):
    small, _ = stubs
    async with Client(served.router) as client:
        async with aclosing(client.stream("A long one", constraints=Constraints(plan="small"))) as events:
            async for event in events:
                if isinstance(event, AnswerDelta):
                    break
        state = await asyncio.to_thread(small.until, freed, FREED_WITHIN_S)
    assert (state["running"], state["aborted"]) == (0, 1)
    assert await reserved(served) == 0


async def test_a_deadline_that_expires_frees_the_model_server_and_settles(served, stubs):
    small, _ = stubs
    small.fault("hang")
    async with Client(served.router) as client:
        with pytest.raises(ApportionError) as caught:
            await client.generate("Never", timeout_s=0.8, retries=0)
        state = await asyncio.to_thread(small.until, freed, FREED_WITHIN_S)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert state["running"] == 0
    assert await reserved(served) == 0


async def test_a_deadline_cuts_the_answer_to_what_there_is(served, stubs):
    small, _ = stubs
    async with Client(served.router) as client:
        seen = [
            event
            async for event in client.stream(
                "Go on for ever",
                timeout_s=1.2,
                sampling=Sampling(max_tokens=256),
                constraints=Constraints(plan="small"),
            )
        ]
    last = seen[-1]
    assert isinstance(last, Done)
    assert last.reply.status in (Status.DEADLINE_CUT, Status.ANSWERED)
    assert last.reply.text == "".join(event.text for event in seen if isinstance(event, AnswerDelta))
    assert small.until(freed, FREED_WITHIN_S)["running"] == 0


async def test_a_rule_that_stops_frees_the_samples_in_flight(served, stubs):
    small, _ = stubs
    async with Client(served.router) as client:
        reply = await client.generate(
            "What is the answer?", constraints=Constraints(plan="vote"), return_samples=True
        )
    state = await asyncio.to_thread(small.until, freed, FREED_WITHIN_S)
    assert state["running"] == 0
    assert reply.decision.stop_reason in ("enough: agreement", "exhausted")
    assert await reserved(served) == 0


@pytest.mark.parametrize("fault", ["html", "bad_json", "500", "503", "429", "die_mid_stream", "end_early"])
async def test_a_model_server_that_fails_hands_over_and_the_reply_says_so(served, stubs, fault):
    small, _ = stubs
    small.fault(fault)
    async with Client(served.router) as client:
        reply = await client.generate("Will it work?")
        assert reply.decision.plan != "small" or not reply.decision.degraded
        assert any("took over" in reason for reason in reply.decision.degraded)
        again = await client.generate("And now?")
    assert again.decision.plan == "small"
    assert await reserved(served) == 0


async def test_a_model_server_that_hangs_is_given_up_after_its_time(serve, stubs):
    small, _ = stubs
    server = serve(patience=0.5)
    small.fault("hang")
    async with Client(server.router) as client:
        reply = await client.generate("Will it work?")
    assert any("took over" in reason for reason in reply.decision.degraded)
    assert small.until(freed, FREED_WITHIN_S)["running"] == 0


async def test_a_model_server_without_usage_is_charged_by_what_was_seen(served, stubs):
    small, _ = stubs
    small.fault("no_usage")
    async with Client(served.router) as client:
        reply = await client.generate("How much?")
    assert reply.usage_by_backend["small"].tokens_out > 0
    assert reply.usage_by_backend["small"].tokens_in > 0


async def test_an_empty_budget_refuses_with_a_reason_and_serves_nothing(serve, stubs):
    small, _ = stubs
    server = serve(dollars=0.0)
    async with Client(server.router) as client:
        with pytest.raises(ApportionError) as caught:
            await client.generate("Anything?", retries=0)
    assert (caught.value.status, caught.value.reason) == ("RESOURCE_EXHAUSTED", "BUDGET")
    assert small.state()["requests"] == 0


async def test_the_same_request_id_is_answered_once(served, stubs):
    small, _ = stubs
    async with Client(served.router) as client:
        first, second = await asyncio.gather(
            client.generate("Twice", request_id="one"), client.generate("Twice", request_id="one")
        )
        third = await client.generate("Twice", request_id="one")
    assert first.decision_id == second.decision_id == third.decision_id
    assert small.state()["requests"] == 1


async def test_many_outcomes_on_one_stream_are_all_committed(served):
    async with Client(served.router) as client, AdminClient(served.admin) as admin:
        reply = await client.generate("Report on me")
        done = await client.report_many(
            [Report(f"metric_{n}", float(n), decision_id=reply.decision_id) for n in range(50)]
        )
        logged = await admin.decision(reply.decision_id)
    assert done.committed == 50
    assert len(logged.outcomes) == 50

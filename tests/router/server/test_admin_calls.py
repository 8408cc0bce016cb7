"""What operators see and set, through a real server."""

from __future__ import annotations

import itertools

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from router.client import ApportionError, Constraints, Mode, NotFound, OutOfBudget, SyncAdminClient
from router.v1 import apportion_router_pb2 as pb


async def test_status_counts_what_happened(house):
    reply = await house.client.generate("2 + 2?")
    await house.client.report(reply.decision_id, "correct", True)
    await house.client.report(reply.decision_id, "correct", True)
    status = await house.admin.status()
    assert (status.decisions, status.outcomes, status.in_flight) == (1, 1, 0)
    assert (status.mode, status.policy, status.bundle) == (Mode.APPLY, "utility", "")
    assert status.budget_spent_micros == reply.usage.cost_micros
    assert (status.budget_limit_micros, status.draining) == (None, False)
    assert any("no bundle" in word for word in status.degraded)


async def test_plans_are_told_in_words(house):
    plans = {plan.name: plan for plan in await house.admin.plans()}
    assert plans["vote"].stages[0].stop == "agreement(needed=2)"
    assert plans["vote"].stages[0].select == "majority"
    assert [plan.name for plan in plans.values() if plan.reference] == ["story"]
    assert [stage.backend for stage in plans["cascade"].stages] == ["small", "story"]
    assert (plans["story"].streams, plans["vote"].streams) == (True, False)


async def test_backends_are_told_with_their_prices(house):
    small = {backend.name: backend for backend in await house.admin.backends()}["small"]
    assert (small.kind, small.price_in, small.price_cached_in, small.price_out) == ("scripted", 1.0, 1.0, 2.0)


async def test_lists_come_in_pages(house):
    names, token = [], ""
    for _ in range(10):
        page = await house.admin_stub.ListPlans(pb.ListPlansRequest(page_size=3, page_token=token))
        names += [plan.name for plan in page.plans]
        token = page.next_page_token
        if not token:
            break
    assert names == [plan.name for plan in await house.admin.plans()]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListPlansRequest(page_size=-1), "page_size"),
        (pb.ListPlansRequest(page_size=1001), "page_size"),
        (pb.ListPlansRequest(page_token="next"), "page_token"),
        (pb.ListPlansRequest(page_token="99"), "page_token"),
        (pb.ListBackendsRequest(page_token="-1"), "page_token"),
        (pb.ListDecisionsRequest(page_size=2000), "page_size"),
        (pb.ListDecisionsRequest(page_token="\x00bad"), "page_token"),
        (pb.SetModeRequest(), "mode"),
        (pb.SetModeRequest(mode=pb.MODE_APPLY, share=1.5), "share"),
        (pb.SetBackendStateRequest(backend="small"), "state"),
        (pb.GetDecisionRequest(), "decision_id"),
    ],
)
async def test_a_bad_request_names_its_field(house, request_, field):
    method = type(request_).__name__.removesuffix("Request")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(house.admin_stub, method)(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith(f"{field}:")


async def test_bypass_ends_all_cleverness_at_once(house):
    assert await house.admin.set_mode(Mode.BYPASS) is Mode.APPLY
    reply = await house.client.generate("2 + 2?", constraints=Constraints(max_cost_micros=10**9))
    assert (reply.decision.mode, reply.decision.policy, reply.decision.plan) == (
        Mode.BYPASS,
        "reference",
        "story",
    )
    assert reply.decision.signals == {}


async def test_a_mode_may_hold_for_one_tenant(house):
    await house.admin.set_mode(Mode.OBSERVE, tenant="acme")
    acme = await house.client.generate("2 + 2?", tenant="acme")
    other = await house.client.generate("2 + 2?")
    assert (acme.decision.mode, other.decision.mode) == (Mode.OBSERVE, Mode.APPLY)


async def test_a_decision_that_is_not_there_is_not_found(house):
    with pytest.raises(NotFound, match="unknown decision 'nothing'"):
        await house.admin.decision("nothing")


async def test_a_row_has_everything_that_was_logged(house):
    reply = await house.client.generate(
        "2 + 2?", constraints=Constraints(plan="vote"), session_id="s", metadata={"k": "v"}, task_hint="math"
    )
    row = await house.admin.decision(reply.decision_id)
    assert (row.request_id, row.session_id, row.tenant, row.metadata) == (
        reply.request_id,
        "s",
        "default",
        {"k": "v"},
    )
    assert (row.query_text, row.answer, row.answer_text) == ("2 + 2?", "4", "4")
    assert [sample.text for sample in row.samples] == ["4", "4"]
    assert (row.decision.probabilities, set(row.digests)) == ({"vote": 1.0}, {"vote"})
    assert row.unusable_reason == "the caller chose the plan"
    assert row.usage == reply.usage


async def test_decisions_are_listed_newest_first_by_tenant(house):
    for number in range(5):
        await house.client.generate(f"query {number}", tenant="acme" if number % 2 else "other")
    rows = [row async for row in house.admin.decisions(page_size=2)]
    assert [row.query_text for row in rows] == [f"query {number}" for number in (4, 3, 2, 1, 0)]
    acme = [row.query_text async for row in house.admin.decisions(tenant="acme", page_size=1)]
    assert acme == ["query 3", "query 1"]


@pytest.mark.parametrize("server_settings", [{"max_message_bytes": 6000}])
async def test_a_page_has_fewer_rows_where_more_would_not_fit_a_message(house):
    for number in range(8):
        await house.client.generate(f"query {number} " + "x" * 1000)
    page = await house.admin_stub.ListDecisions(pb.ListDecisionsRequest(page_size=8))
    assert 0 < len(page.decisions) < 8
    assert len([row async for row in house.admin.decisions()]) == 8


async def test_the_blocking_client_sees_the_same(house):
    import asyncio

    await house.client.generate("2 + 2?")

    def look():
        with SyncAdminClient(house.addresses.admin) as admin:
            with pytest.raises(ApportionError):
                admin.decision("nothing")
            rows = list(itertools.islice(admin.decisions(), 1))
            return (
                admin.status().decisions,
                admin.plans(),
                admin.backends(),
                admin.decision(rows[0].decision_id),
                rows[0],
            )

    decisions, plans, backends, one, listed = await asyncio.to_thread(look)
    assert decisions == 1
    assert (plans, backends) == (await house.admin.plans(), await house.admin.backends())
    assert one == listed


async def test_a_limit_is_set_and_told_with_its_version(house):
    before = await house.admin.budget()
    assert (before.balance.account, before.balance.limit, before.accounts) == ("all", None, ("all",))
    await house.client.generate("2 + 2?")
    balance = await house.admin.set_budget(5)
    assert (balance.limit, balance.version, balance.reserved) == (5, before.balance.version + 1, 0)
    assert balance.spent > 5  # what was spent before is part of it
    with pytest.raises(OutOfBudget):
        await house.client.generate("2 + 3?", retries=0)
    assert (await house.admin.set_budget(None)).limit is None
    assert (await house.client.generate("2 + 3?")).text


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.SetBudgetRequest(limit=-1), "limit"),
        (pb.SetBudgetRequest(limit=2**62), "limit"),
        (pb.SetBudgetRequest(limit=1, window=Duration(seconds=5)), "window"),
        (pb.SetBudgetRequest(), "limit: is absent"),
        (pb.SetBudgetRequest(window=Duration(seconds=3600)), "limit: is absent"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_with_its_field(house, request_, said):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.admin_stub.SetBudget(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(caught.value.details())


async def test_an_account_that_is_not_there_is_not_found(house):
    with pytest.raises(NotFound, match=r"'nobody'.*choose from all"):
        await house.admin.budget("nobody")

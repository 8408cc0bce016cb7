"""Batches through the real server: one budget, results as they come, taken up again by the next life."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from predictors.observation import Constraints
from router.assemble import assemble
from router.client import BatchQuery, BatchStatus, Client, Conflict, InvalidRequest, NotFound
from router.config import Config
from router.server import Servers


def queries(count: int, plan: str = "small") -> list[BatchQuery]:
    return [BatchQuery(f"question {at}", {"constraints": Constraints(plan=plan)}) for at in range(count)]


async def ended(client: Client, batch_id: str) -> BatchStatus:
    while (status := await client.batches.get(batch_id)).running:  # noqa: ASYNC110 (a server has to be asked)
        await asyncio.sleep(0.02)
    return status


async def test_every_query_is_answered_and_its_cost_counted(house):
    await house.client.batches.create(queries(30), batch_id="b", budget_micros=10**6)
    status = await ended(house.client, "b")
    results = [result async for result in house.client.batches.results("b")]
    assert (status.state, status.done, status.failed) == ("done", 30, 0)
    assert sorted(result.position for result in results) == list(range(30))
    assert status.spent_micros == sum(result.reply.usage.cost_micros for result in results)
    assert 0 < status.spent_micros <= 10**6


async def test_a_budget_that_is_too_small_ends_the_batch(house):
    one = await house.client.estimate("question 0", constraints=Constraints(plan="small"))
    budget = 3 * one.worst_cost_micros
    await house.client.batches.create(queries(1000), batch_id="b", budget_micros=budget)
    status = await ended(house.client, "b")
    assert status.state == "budget_exhausted"
    assert 0 < status.done < 1000
    assert status.spent_micros <= budget


async def test_a_failed_query_says_why_and_the_others_go_on(house):
    asked = [*queries(2), *queries(1, plan="refusing")]
    await house.client.batches.create(asked, batch_id="b")
    status = await ended(house.client, "b")
    failed = [result async for result in house.client.batches.results("b") if result.reply is None]
    assert (status.done, status.failed) == (2, 1)
    assert (failed[0].position, failed[0].code) == (2, "FAILED_PRECONDITION")


async def test_cancelling_frees_the_backends(house):
    await house.client.batches.create(queries(40, plan="gated"), batch_id="b")
    await house.gated.entered.acquire()
    status = await house.client.batches.cancel("b")
    entered = house.gated.calls
    for _ in range(entered):
        await house.gated.left.acquire()
    assert status.state == "cancelled"
    assert house.gated.calls == entered < 40


@pytest.mark.parametrize("budget", [10**6, None])
async def test_what_is_cut_counts_with_what_it_has_cost(house, budget: int | None):
    """Not with its worst case: a few restarts or a cancellation would use up the money of a batch by themselves."""
    await house.client.batches.create(queries(40, plan="gated"), batch_id="b", budget_micros=budget)
    await house.gated.entered.acquire()
    status = await house.client.batches.cancel("b")
    rows = (await house.service.store.decisions(100)).decisions
    assert len(rows) == house.gated.calls
    assert status.spent_micros == sum(row.charged for row in rows) > 0


async def test_the_same_queries_twice_are_one_batch_and_others_are_refused(house):
    await house.client.batches.create(queries(3), batch_id="b")
    await house.client.batches.create(queries(3), batch_id="b")
    assert (await ended(house.client, "b")).done == 3
    with pytest.raises(Conflict):
        await house.client.batches.create(queries(4), batch_id="b")


async def test_what_is_wrong_with_a_query_is_said_before_any_is_kept(house):
    bad = [*queries(1), BatchQuery("x", {"constraints": Constraints(plan="nobody")})]
    with pytest.raises(InvalidRequest, match=r"requests\[1\]"):
        await house.client.batches.create(bad, batch_id="b")
    with pytest.raises(NotFound):
        await house.client.batches.get("b")


async def test_two_tenants_in_one_batch_are_refused(house):
    both = [BatchQuery("x", {"tenant": "acme"}), BatchQuery("y", {"tenant": "other"})]
    with pytest.raises(InvalidRequest, match="several tenants"):
        await house.client.batches.create(both, batch_id="b")


async def test_the_next_life_goes_on_where_the_last_one_ended(tmp_path: Path):
    script = {"kind": "scripted", "script": ["4"], "price_out": 2.0}
    settings = {
        "backends": {"small": script},
        "plans": [{"name": "small", "stages": [{"backend": "small"}]}],
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
    }
    config = msgspec.convert(settings, Config)
    done = []
    for life in range(2):
        service = assemble(config, base=tmp_path)
        servers = Servers(service)
        async with Client((await servers.start()).router) as client:
            if life == 0:
                asked = [BatchQuery(f"question {at}") for at in range(200)]
                await client.batches.create(asked, batch_id="b")
                while not (status := await client.batches.get("b")).done:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            else:
                status = await ended(client, "b")
            done.append(status.done)
        await servers.stop()
        await service.close()
    assert 0 < done[0] < done[1] == 200

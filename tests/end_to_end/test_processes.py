"""Processes that die, start twice, or are asked to stop."""

from __future__ import annotations

import asyncio

import pytest

from predictors.observation import Constraints
from router.client import AdminClient, ApportionError, Client


async def test_acknowledged_outcomes_survive_kill_9(serve):
    server = serve()
    acknowledged = []
    async with Client(server.router) as client:
        decisions = [(await client.generate(f"Query {n}")).decision_id for n in range(5)]

        async def report_until_dead() -> None:
            for n in range(10_000):
                decision = decisions[n % len(decisions)]
                try:
                    await client.report(decision, f"metric_{n}", float(n), retries=0, timeout_s=5.0)
                except ApportionError:
                    return
                acknowledged.append(f"metric_{n}")
                if n == 100:
                    server.kill()

        await report_until_dead()
    assert len(acknowledged) > 100
    again = serve()
    kept = set()
    async with AdminClient(again.admin) as admin:
        for decision_id in decisions:
            kept |= {outcome.metric for outcome in (await admin.decision(decision_id)).outcomes}
    assert set(acknowledged) <= kept


async def test_a_killed_server_starts_again_on_the_same_store(serve):
    first = serve()
    async with Client(first.router) as client:
        reply = await client.generate("Before")
        await client.report(reply.decision_id, "correct", True)
    first.kill()
    second = serve()
    assert second.router, second.log
    async with AdminClient(second.admin) as admin:
        logged = await admin.decision(reply.decision_id)
    assert logged.outcomes[0].metric == "correct"


async def test_two_servers_on_one_store_are_one_too_many(serve):
    first, second = serve(), serve()
    assert first.router
    assert await asyncio.to_thread(second.process.wait, 30) != 0
    assert "decisions.db" in second.log
    assert "Traceback" not in second.log
    async with Client(first.router) as client:
        assert (await client.generate("Still there?")).text


async def test_sigterm_lets_running_queries_end_and_takes_no_new_ones(serve, stubs):
    small, _ = stubs
    server = serve()
    async with Client(server.router) as client:
        running = asyncio.create_task(client.generate("Go on", constraints=Constraints(plan="small")))
        await asyncio.to_thread(small.until, lambda state: state["running"] == 1)
        server.process.terminate()
        assert (await running).text
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_server_that_stopped_left_its_rows(serve):
    server = serve()
    async with Client(server.router) as client:
        ids = [(await client.generate(f"Query {n}")).decision_id for n in range(3)]
    assert await asyncio.to_thread(server.stop) == 0
    again = serve()
    async with AdminClient(again.admin) as admin:
        for decision_id in ids:
            assert (await admin.decision(decision_id)).decision_id == decision_id
        assert (await admin.status()).lost_rows == 0


async def test_a_second_signal_ends_it_at_once(serve, stubs):
    small, _ = stubs
    small.fault("hang")
    server = serve()
    async with Client(server.router) as client, AdminClient(server.admin) as admin:
        running = asyncio.create_task(client.generate("Never", retries=0))
        await asyncio.to_thread(small.until, lambda state: state["requests"] == 1)
        server.process.terminate()
        while not (await admin.status()).draining:  # noqa: ASYNC110 (another process; two signals at once may be one)
            await asyncio.sleep(0.01)
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 4)  # it would drain for 5 s
        with pytest.raises(ApportionError):
            await running

"""A backend is taken out of service while queries run, and back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from router.client import BackendState, Constraints, NotFound, SyncAdminClient, Unavailable
from router.v1 import apportion_router_pb2 as pb

GATED = Constraints(plan="gated")


async def state_of(house: Any, name: str) -> Any:
    return {backend.name: backend for backend in await house.admin.backends()}[name]


async def test_samples_in_flight_are_counted_per_backend(house):
    running = asyncio.create_task(house.client.generate("2 + 2?", constraints=GATED))
    await house.gated.entered.acquire()
    counts = {backend.name: backend.in_flight for backend in await house.admin.backends()}
    assert counts.pop("gated") == 1
    assert set(counts.values()) == {0}
    house.gated.gate.set()
    await running
    assert (await state_of(house, "gated")).in_flight == 0


async def test_a_drained_backend_ends_what_runs_and_takes_no_new_query(house):
    running = asyncio.create_task(house.client.generate("2 + 2?", constraints=GATED))
    await house.gated.entered.acquire()
    told = await house.admin.set_backend_state("gated", BackendState.DRAIN)
    assert (told.state, told.in_flight) == (BackendState.DRAIN, 1)
    with pytest.raises(Unavailable, match="gated: backend 'gated' is drained by an operator"):
        await house.client.generate("3 + 3?", constraints=GATED)
    house.gated.gate.set()
    assert (await running).answers[0].text == "alpha beta"
    assert house.gated.calls == 1


async def test_the_others_answer_and_say_what_is_missing(house):
    await house.admin.set_backend_state("story", BackendState.DRAIN)
    reply = await house.client.generate(
        "2 + 2?", constraints=Constraints(allowed_backends=("small", "story"))
    )
    assert reply.decision.plan in {"small", "vote"}
    assert "backend 'story' is drained by an operator" in reply.decision.degraded
    assert "backend 'story' is drained by an operator" in (await house.admin.status()).degraded


async def test_a_backend_that_the_configuration_has_no_more_is_not_missed(house):
    """Its state outlives restarts, so that it holds where the name comes back; nobody could enable it meanwhile."""
    switch = house.service.allocator.switch
    switch.set("renamed", BackendState.DISABLE)
    switch.set("story", BackendState.DRAIN)
    told = (await house.admin.status()).degraded
    assert "backend 'story' is drained by an operator" in told
    assert not any("renamed" in why for why in told)


async def test_a_disabled_backend_is_left_at_once(house):
    running = asyncio.create_task(house.client.generate("2 + 2?", constraints=GATED))
    await house.gated.entered.acquire()
    await house.admin.set_backend_state("gated", BackendState.DISABLE)
    with pytest.raises(Unavailable, match="backend 'gated' is disabled by an operator"):
        await running
    await house.gated.left.acquire()  # it was freed, and its gate never opened
    assert (await state_of(house, "gated")).in_flight == 0


async def test_an_enabled_backend_serves_again(house):
    house.gated.gate.set()
    await house.admin.set_backend_state("gated", BackendState.DISABLE)
    await house.admin.set_backend_state("gated", BackendState.ENABLE)
    reply = await house.client.generate("2 + 2?", constraints=GATED)
    assert (reply.answers[0].text, reply.decision.degraded) == (
        "alpha beta",
        (await house.admin.status()).degraded,
    )


async def test_a_backend_that_is_not_there_is_not_found(house):
    with pytest.raises(NotFound, match="unknown backend 'huge'; choose from broken, gated, hanging"):
        await house.admin.set_backend_state("huge", BackendState.DRAIN)


async def test_a_drained_backend_is_refused_as_unavailable_for_lack_of_a_backend(house, ask):
    await house.admin.set_backend_state("gated", BackendState.DRAIN)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.stub.Generate(ask(plan="gated"))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_blocking_client_sets_the_same(house):
    def drain():
        with SyncAdminClient(house.addresses.admin) as admin:
            return admin.set_backend_state("small", BackendState.DRAIN)

    assert (await asyncio.to_thread(drain)).state is BackendState.DRAIN
    reply = await house.admin_stub.ListBackends(pb.ListBackendsRequest())
    states = {backend.name: backend.state for backend in reply.backends}
    assert states.pop("small") == pb.BACKEND_STATE_DRAIN
    assert set(states.values()) == {pb.BACKEND_STATE_ENABLE}

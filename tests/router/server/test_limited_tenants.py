"""[limits] at every door: a tenant above its own is refused with OVERLOAD and a delay, and the others are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from router.assemble import assemble
from router.assemble_parts import build_backends
from router.client import Busy, Client, Constraints, Started
from router.config import Config
from router.server import Addresses, Servers

TOLD: dict[str, Any] = {
    "backends": {
        "one": {"kind": "scripted", "script": ["4"]},
        "hanging": {"kind": "scripted", "script": ["!hang"]},
    },
    "plans": [{"name": name, "stages": [{"backend": name}]} for name in ("one", "hanging")],
    "reference": "one",
    "store": {"sqlite": ":memory:"},
    "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"},
}
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "2 + 2?"}]}


@dataclass
class Crowded:
    addresses: Addresses
    client: Client


@pytest.fixture
def start() -> Callable[..., Any]:
    @asynccontextmanager
    async def started(**limits: Any) -> AsyncIterator[Crowded]:
        config = msgspec.convert(TOLD | {"limits": limits}, Config)
        service = assemble(config, base=Path(), backends=build_backends(config, Path()))
        servers = Servers(service)
        addresses = await servers.start()
        async with Client(addresses.router, retries=0, timeout_s=20.0) as client:
            yield Crowded(addresses, client)
        await servers.stop()
        await service.close()

    return started


async def test_above_its_rate_a_tenant_is_refused_by_every_call_and_others_are_answered(start):
    async with start(queries_per_s=0.5) as crowded:
        client = crowded.client
        await client.generate("2 + 2?", tenant="a")
        calls: tuple[Any, ...] = (
            lambda: client.generate("2 + 2?", tenant="a"),
            lambda: client.decide("2 + 2?", tenant="a"),
            lambda: client.estimate("2 + 2?", tenant="a"),
            lambda: anext(client.stream("2 + 2?", tenant="a")),
            lambda: advised(client),
        )
        for call in calls:
            with pytest.raises(Busy) as refused:
                await call()
            assert refused.value.reason == "OVERLOAD"
            assert refused.value.retry_after_s is not None
            assert 0 < refused.value.retry_after_s <= 2
        assert (await client.generate("2 + 2?", tenant="b")).text == "4"


async def advised(client: Client) -> None:
    async with client.advise("2 + 2?", tenant="a") as advice:
        async for _ in advice:
            break


async def test_a_client_that_waits_as_it_was_told_is_answered(start):
    async with start(queries_per_s=2.0) as crowded, Client(crowded.addresses.router) as patient:
        answers = await asyncio.gather(*(patient.generate("2 + 2?", tenant="a") for _ in range(5)))
        assert [one.text for one in answers] == ["4"] * 5


async def test_so_many_queries_of_a_tenant_run_and_one_that_leaves_makes_room(start):
    async with start(in_flight=1) as crowded:
        client = crowded.client
        stream = client.stream("2 + 2?", tenant="a", constraints=Constraints(plan="hanging"))
        assert isinstance(await anext(stream), Started)
        with pytest.raises(Busy) as refused:
            await client.generate("2 + 2?", tenant="a")
        assert "limits.in_flight" in str(refused.value)
        assert (await client.generate("2 + 2?", tenant="b")).text == "4"
        await stream.aclose()
        async with asyncio.timeout(10):
            while True:
                try:
                    reply = await client.generate("2 + 2?", tenant="a")
                except Busy:  # the service hears of it a little later
                    continue
                break
        assert reply.text == "4"


async def test_the_openai_door_counts_the_same_queries(start):
    async with start(tenants={"a": {"queries_per_s": 0.5}}) as crowded:
        await crowded.client.generate("2 + 2?", tenant="a")
        url = f"http://{crowded.addresses.http}/v1/chat/completions"
        async with aiohttp.ClientSession() as http:
            async with http.post(url, json=CHAT | {"router": {"tenant": "a"}}) as reply:
                assert reply.status == 429
                assert float(reply.headers["Retry-After"]) > 0
            for _ in range(5):
                async with http.post(url, json=CHAT | {"router": {"tenant": "b"}}) as reply:
                    assert reply.status == 200


async def test_who_joins_a_running_request_of_the_same_id_takes_a_place_of_its_tenant_too(start):
    async with start(in_flight=2) as crowded:
        client = crowded.client
        hanging: dict[str, Any] = {
            "constraints": Constraints(plan="hanging"),
            "tenant": "a",
            "request_id": "r",
        }
        stream = client.stream("2 + 2?", **hanging)
        assert isinstance(await anext(stream), Started)
        joined = asyncio.create_task(client.generate("2 + 2?", **hanging))
        async with asyncio.timeout(10):
            while True:  # until the other one has joined
                try:
                    await client.generate("2 + 2?", tenant="a")
                except Busy:
                    break
        with pytest.raises(Busy) as refused:
            await client.generate("2 + 2?", **hanging)
        assert "limits.in_flight" in str(refused.value)
        joined.cancel()
        await stream.aclose()


async def test_who_joins_at_the_openai_door_takes_a_place_of_its_tenant_too(start):
    async with start(in_flight=2) as crowded, aiohttp.ClientSession() as http:
        url, headers = f"http://{crowded.addresses.http}/v1/chat/completions", {"Idempotency-Key": "r"}

        async def ask() -> int:
            async with http.post(url, json=CHAT | {"model": "hanging"}, headers=headers) as reply:
                return reply.status

        running = [asyncio.create_task(ask()) for _ in range(2)]
        third = await asyncio.wait_for(asyncio.shield(asyncio.create_task(ask())), 10)
        assert third == 429
        for task in running:
            task.cancel()

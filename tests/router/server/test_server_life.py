"""From the first port to the last call: health, reflection, addresses, draining."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from router.assemble import assemble
from router.client import Client, Constraints, Unavailable
from router.config import Config
from router.errors import ConfigError
from router.server import Servers
from router.v1 import apportion_router_pb2 as pb

SERVICES = ("", "apportion.router.v1.Router", "apportion.router.v1.Admin")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
GATED = Constraints(plan="gated")


async def health(channel, service: str):
    stub: Any = health_pb2_grpc.HealthStub(channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return reply.status


async def listed(channel) -> set[str]:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for reply in stub.ServerReflectionInfo(iter([request])):
        return {service.name for service in reply.list_services_response.service}
    return set()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_is_healthy_on_both_ports(house, service):
    assert await health(house.channel, service) == SERVING
    assert await health(house.admin_channel, service) == SERVING


async def test_reflection_lists_what_each_port_serves(house):
    common = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert await listed(house.channel) == {"apportion.router.v1.Router", *common}
    assert await listed(house.admin_channel) == {"apportion.router.v1.Admin", *common}


async def test_reflection_hands_out_the_messages(house):
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(house.channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="apportion.router.v1.Router")
    async for reply in stub.ServerReflectionInfo(iter([request])):
        assert pb.DESCRIPTOR.serialized_pb in reply.file_descriptor_response.file_descriptor_proto


async def test_the_admin_service_is_not_on_the_callers_port(house):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.channel.unary_unary("/apportion.router.v1.Admin/GetStatus")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_while_draining_health_says_so_new_calls_are_refused_and_running_ones_finish(house):
    running = asyncio.create_task(house.client.generate("hi", constraints=GATED))
    await house.gated.entered.acquire()
    draining = asyncio.create_task(house.servers.drain())
    async with asyncio.timeout(10):
        while await health(house.channel, "") != NOT_SERVING:
            pass  # batches and shadow runs are cut first
    for service in SERVICES:
        assert await health(house.channel, service) == NOT_SERVING
    with pytest.raises(Unavailable) as caught:
        await house.client.generate("2 + 2?", retries=0)
    assert (caught.value.reason, caught.value.retry_after_s) == ("DRAINING", 1.0)
    assert (await house.admin.status()).draining
    house.gated.gate.set()
    assert (await running).text == "alpha beta"
    assert await draining


async def test_a_draining_replica_sends_its_callers_elsewhere_and_finishes_what_runs(house):
    """A connection that stays would keep a caller's next calls at the replica that refuses them."""
    house.servers.go_away_after_s = 0.0
    running = asyncio.create_task(house.client.generate("hi", constraints=GATED))
    await house.gated.entered.acquire()
    draining = asyncio.create_task(house.servers.drain())
    async with asyncio.timeout(10):
        while not await cannot_connect(house.addresses.router):  # noqa: ASYNC110 (a port says nothing)
            await asyncio.sleep(0.01)
    assert await health(house.admin_channel, "") == NOT_SERVING
    house.gated.gate.set()
    assert (await running).text == "alpha beta"
    assert await draining


async def cannot_connect(address: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address.split(":"))
    except OSError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


@pytest.mark.parametrize("server_settings", [{"drain_s": 0.05}])
async def test_a_call_that_does_not_end_in_time_is_cut_and_settled(house):
    running = asyncio.create_task(house.client.generate("hi", constraints=GATED, retries=0))
    await house.gated.entered.acquire()
    assert not await house.servers.drain()
    await house.servers.stop()
    with pytest.raises(Unavailable):
        await running
    await asyncio.wait_for(house.gated.left.acquire(), timeout=1.0)
    assert (house.service.ledger.balance().reserved, house.servers.admission.calls) == (0, 0)


def service_on(**server: object):
    backends = {"small": {"kind": "scripted", "script": ["4"]}}
    plans = [{"name": "small", "stages": [{"backend": "small"}]}]
    table = {
        "backends": backends,
        "plans": plans,
        "store": {"sqlite": ":memory:"},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", **server},
    }
    return assemble(msgspec.convert(table, Config), base=Path())


async def refused(**server: object) -> str:
    """The message of a server that cannot be had."""
    service = service_on(**server)
    servers = Servers(service)
    try:
        with pytest.raises(ConfigError) as caught:
            await servers.start()
    finally:
        await servers.stop()
        await service.close()
    return str(caught.value)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"])
async def test_an_address_that_others_can_reach_is_refused(address):
    message = await refused(listen=address)
    assert message.startswith(f"server.listen: '{address}' can be reached from other machines")
    assert "server.allow_remote = true" in message


async def test_the_admin_address_is_held_to_the_same():
    assert (await refused(admin_listen="0.0.0.0:0")).startswith("server.admin_listen")


async def test_who_says_so_may_listen_everywhere():
    service = service_on(listen="0.0.0.0:0", allow_remote=True)
    servers = Servers(service)
    addresses = await servers.start()
    port = addresses.router.rpartition(":")[2]
    async with Client(f"127.0.0.1:{port}") as client:
        assert (await client.generate("2 + 2?")).text == "4"
    await servers.stop()
    await service.close()


@pytest.mark.parametrize(
    "address", ["50051", "localhost", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", ":1"]
)
async def test_what_is_no_address_is_refused(address):
    assert "is no address" in await refused(listen=address)


async def test_an_address_of_another_machine_is_told_by_its_system(house):
    message = await refused(listen="192.0.2.1:50051", allow_remote=True)
    assert message == "server.listen: cannot listen on 192.0.2.1:50051: Cannot assign requested address"


async def test_a_port_is_not_shared(house, capfd):
    message = await refused(listen=house.addresses.router)
    assert capfd.readouterr().err == ""  # gRPC says nothing beside it
    assert (
        message
        == f"server.listen: cannot listen on {house.addresses.router}: is another server running there?"
    )

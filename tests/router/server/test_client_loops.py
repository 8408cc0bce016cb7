"""One client in the event loops of an application: made before there is one, used in one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from router.client import AdminClient, Client, Mode
from router.clients.channel import options
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc


class Router(pb_grpc.RouterServicer):
    def Generate(self, request: pb.GenerateRequest, context: object) -> pb.GenerateReply:  # noqa: N802 (gRPC name)
        decision = pb.DecisionInfo(mode=pb.MODE_APPLY)
        answer = pb.Answer(parts=request.messages[0].parts)
        return pb.GenerateReply(status=pb.STATUS_ANSWERED, answers=[answer], decision=decision)


class Admin(pb_grpc.AdminServicer):
    def SetMode(self, request: pb.SetModeRequest, context: object) -> pb.SetModeReply:  # noqa: N802 (gRPC name)
        return pb.SetModeReply(previous=pb.MODE_OBSERVE)


@pytest.fixture
def target() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    pb_grpc.add_RouterServicer_to_server(Router(), server)  # type: ignore[abstract]  # the calls that are asked
    pb_grpc.add_AdminServicer_to_server(Admin(), server)  # type: ignore[abstract]  # likewise
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


async def answered(client: Client, prompt: str) -> str:
    return (await client.generate(prompt, timeout_s=20.0)).text


def test_a_client_made_before_any_loop_answers_in_one_after_the_other(target):
    client, admin = Client(target), AdminClient(target)
    assert asyncio.run(answered(client, "one")) == "one"
    assert asyncio.run(answered(client, "two")) == "two"
    assert asyncio.run(admin.set_mode(Mode.APPLY)) is Mode.OBSERVE


def test_the_loops_of_several_threads_share_a_client(target):
    client = Client(target)
    prompts = [f"query {number}" for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda prompt: asyncio.run(answered(client, prompt)), prompts))
    assert told == prompts


def test_a_closed_client_asks_nobody(target):
    async def closed() -> None:
        client = Client(target)
        await answered(client, "one")
        await client.close()
        await answered(client, "two")

    with pytest.raises(grpc.aio.UsageError):
        asyncio.run(closed())


def test_a_service_that_is_back_is_found_within_two_seconds():
    """However long it was away; gRPC alone would let its callers fail for up to two minutes more."""
    assert int(dict(options())["grpc.max_reconnect_backoff_ms"]) <= 2000

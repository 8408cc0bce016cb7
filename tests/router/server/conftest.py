"""The real service on free ports of this machine, over scripted backends and one that waits to be let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from predictors.observation import Sample
from router.assemble import Service, assemble
from router.assemble_parts import build_backends
from router.backends import Call, Capabilities
from router.client import AdminClient, Client
from router.config import Config
from router.domain.events import Delta
from router.domain.usage import Meter, Usage
from router.server import Addresses, Servers
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc

STORY = "Once upon a time there was a fox"


@dataclass
class Gated:
    """Says one word at a time, the first at once, each other when `gate` is open; knows who came and who left."""

    name: str = "gated"
    text: str = "alpha beta"
    capabilities: Capabilities = field(default_factory=Capabilities)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    calls: int = 0

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample | Delta]:
        self.calls += 1
        self.entered.release()
        try:
            words = self.text.split(" ")
            for number, word in enumerate(words):
                if number:
                    await self.gate.wait()
                if call.stream:
                    yield Delta(f"{call.stage}.0", word if number == 0 else f" {word}", backend=self.name)
            if len(words) == 1:
                await self.gate.wait()
            yield Sample(
                f"{call.stage}.0",
                self.name,
                self.text,
                call.stage,
                finish_reason="stop",
                tokens_in=5,
                tokens_out=2,
            )
        finally:
            meter.add(self.name, Usage(5, tokens_out=2, samples=1))
            self.left.release()

    async def close(self) -> None:
        """Nothing to release."""


def settings(**server: Any) -> dict[str, Any]:
    """A router.toml with every kind of plan that the server has to deal with."""
    scripts = {
        "small": ["4", "4", "5"],
        "story": [STORY],
        "broken": ["!unavailable"],
        "refusing": ["!refused"],
        "hanging": ["!hang"],
        "gated": ["alpha beta"],
    }
    backends: dict[str, Any] = {
        name: {"kind": "scripted", "script": script, "price_in": 1.0, "price_out": 2.0}
        for name, script in scripts.items()
    }
    backends["small"]["extra_allowed"] = ["guided_choice"]
    plans: list[dict[str, Any]] = [{"name": name, "stages": [{"backend": name}]} for name in scripts]
    agreement = {"kind": "agreement", "needed": 2}
    plans += [
        {"name": "vote", "stages": [{"backend": "small", "max_samples": 3, "stop": agreement}]},
        {
            "name": "wide",
            "stages": [{"backend": "small", "max_samples": 4, "width": 2, "stop": agreement}],
        },
        {
            "name": "cascade",
            "stages": [
                {"backend": "small", "max_samples": 2, "stop": {"kind": "agreement", "needed": 3}},
                {"backend": "story"},
            ],
        },
    ]
    return {
        "backends": backends,
        "plans": plans,
        "reference": "story",
        "store": {"sqlite": ":memory:"},
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_s": 5.0, **server},
    }


def config(**server: Any) -> Config:
    return msgspec.convert(settings(**server), Config)


@dataclass
class House:
    """Everything that runs, in reach of the test."""

    service: Service
    servers: Servers
    addresses: Addresses
    client: Client
    admin: AdminClient
    gated: Gated
    channel: grpc.aio.Channel
    admin_channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        return pb_grpc.RouterStub(self.channel)

    @property
    def admin_stub(self) -> Any:
        return pb_grpc.AdminStub(self.admin_channel)


@pytest.fixture
def server_settings() -> Mapping[str, Any]:
    """What a test wants differently in [server]; override it by `parametrize`."""
    return {}


@pytest.fixture
def keep_alive_s() -> float:
    return 15.0


@pytest.fixture
async def house(server_settings: Mapping[str, Any], keep_alive_s: float) -> AsyncIterator[House]:
    chosen = config(**server_settings)
    gated = Gated()
    service = assemble(chosen, base=Path(), backends={**build_backends(chosen, Path()), "gated": gated})
    servers = Servers(service, keep_alive_s=keep_alive_s)
    addresses = await servers.start()
    limits = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", 0),
    ]
    async with (
        Client(addresses.router, timeout_s=20.0) as client,
        AdminClient(addresses.admin) as admin,
        grpc.aio.insecure_channel(addresses.router, limits) as channel,
        grpc.aio.insecure_channel(addresses.admin) as admin_channel,
    ):
        yield House(service, servers, addresses, client, admin, gated, channel, admin_channel)
    await servers.stop()
    await service.close()


@pytest.fixture
def ask() -> Callable[..., pb.GenerateRequest]:
    """Makes a request of one user turn; `plan` forces a plan."""

    def make(text: str = "2 + 2?", plan: str = "", **fields: Any) -> pb.GenerateRequest:
        request = pb.GenerateRequest(
            messages=[pb.Message(role=pb.ROLE_USER, parts=[pb.Part(text=text)])], **fields
        )
        if plan:
            request.constraints.plan = plan
        return request

    return make

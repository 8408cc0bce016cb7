"""The real server, on its ports, under bytes and headers that nobody meant: a status of ours each, and it lives on."""

from __future__ import annotations

import json
import logging
import string
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import grpc
import msgspec
import pytest
import structlog
from google.protobuf.message_factory import GetMessageClass

from router.assemble import Service, assemble
from router.config import Config
from router.server import Addresses, Servers
from router.v1 import apportion_router_pb2 as pb
from router.wire.parts import ADMIN_SERVICE, ROUTER_SERVICE

WATCHED_S = 0.02  # of a stream without end
# nothing is down here, and nobody is in a hurry
FAULTS = ("UNKNOWN", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED")
NAMES = ("small", "vote", "broken", "apportion", "default", "r", "d", "team", "f", "text", "g", "all", "none")
CHAT: dict[str, Any] = {
    "model": "vote",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}], "name": "n"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "user", "content": "2 + 2?"},
    ],
    "temperature": 0.5, "top_p": 0.5, "n": 1, "stop": ["x"], "seed": 1, "max_completion_tokens": 9,
    "presence_penalty": 0.1, "frequency_penalty": 0.1, "logit_bias": {"7": 1}, "user": "u", "metadata": {"k": "v"},
    "router": {"tenant": "team", "session_id": "s", "features": {"a": 1.0}, "constraints": {"max_cost_micros": 100_000}},
}  # fmt: skip
PLAIN = {"model": "small", "messages": [{"role": "user", "content": "2 + 2?"}]}
STREAM = PLAIN | {"stream": True, "stream_options": {"include_usage": True}}
PROMPT = {"model": "small", "prompt": "2 + 2?", "max_tokens": 5}
FEEDBACK = {
    "request_id": "r",
    "metric": "m",
    "value": 0.5,
    "source": "s",
    "weight": 2.0,
    "key": "k",
    "observed_at": 5.0,
}


@dataclass
class House:
    """The running server."""

    service: Service
    addresses: Addresses
    router: grpc.aio.Channel
    admin: grpc.aio.Channel
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://{self.addresses.http}"


def settings() -> dict[str, Any]:
    """Backends that answer, that do not, and a budget."""
    scripts = {"small": ["4", "4", "5"], "broken": ["!refused"]}
    agreement = {"kind": "agreement", "needed": 2}
    return {
        "backends": {
            name: {"kind": "scripted", "script": script, "price_in": 1.0, "price_out": 2.0, "tools": True, "extra_allowed": ["g"]}
            for name, script in scripts.items()
        },
        "plans": [
            {"name": "small", "stages": [{"backend": "small"}]},
            {"name": "vote", "stages": [{"backend": "small", "max_samples": 3, "stop": agreement}]},
            {"name": "broken", "stages": [{"backend": "broken"}]},
        ],
        "budget": {"dollars": 1e6},
        "store": {"sqlite": ":memory:"},
        "server": {
            "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "console": True,
            "replay_s": 1.0, "max_queries": 1000, "drain_s": 1.0, "max_outcomes_per_s": 1e6,
        },
    }  # fmt: skip


@pytest.fixture
def errors_alone() -> Iterator[None]:
    """Warnings about what was sent here would be most of what the run keeps."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def house(tmp_path: Path, errors_alone) -> AsyncIterator[House]:
    service = assemble(msgspec.convert(settings(), Config), base=tmp_path)
    servers = Servers(service)
    async with AsyncExitStack() as stack:
        addresses = await servers.start()
        stack.push_async_callback(service.close)
        stack.push_async_callback(servers.stop)
        router, admin = [
            await stack.enter_async_context(grpc.aio.insecure_channel(at, [("grpc.enable_retries", 0)]))
            for at in (addresses.router, addresses.admin)
        ]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield House(service, addresses, router, admin, http)
        ready = await http.get(f"http://{addresses.http}/health")
        assert ready.status == 200


def requests_of(mutations: Any, service: str) -> Any:
    """(method, bytes, metadata): messages filled at random, and good ones damaged."""
    kinds = {
        method.name: (method, GetMessageClass(method.input_type))
        for method in pb.DESCRIPTOR.services_by_name[service].methods
    }
    makers = {name: mutations.filled(kind, NAMES) for name, (_, kind) in kinds.items()}
    user = [pb.Message(role=pb.ROLE_USER, parts=[pb.Part(text="2 + 2?")])]
    good = [
        pb.GenerateRequest(messages=user, constraints=pb.Constraints(plan="vote")).SerializeToString(),
        pb.GenerateRequest(
            messages=user, request_id="r", tenant="team", answers=2, features={"a": 1.0}
        ).SerializeToString(),
        pb.ReportOutcomeRequest(request_id="r", metric="m", number=0.5, key="k").SerializeToString(),
    ]
    damaged = mutations.damaged(good)

    def metadata(rng: Random) -> tuple[tuple[str, str | bytes], ...]:
        if rng.random() < 0.7:
            return ()
        text = "".join(rng.choice(string.printable[:95]) for _ in range(rng.randrange(60)))
        trace = "-".join(rng.choice(("00", "ff", "0" * 32, "a" * 32, "b" * 16, "01", text)) for _ in range(4))
        return (("authorization", text), ("traceparent", trace), ("x-bin", rng.randbytes(9)))

    def make(rng: Random) -> tuple[str, bytes, tuple[tuple[str, str | bytes], ...]]:
        name = rng.choice(sorted(kinds))
        seen = rng.random()
        raw = makers[name](rng) if seen < 0.5 else damaged(rng) if seen < 0.8 else rng.choice(good)
        return name, raw, metadata(rng)

    return make, {name: method for name, (method, _) in kinds.items()}


async def answered(channel: Any, path: str, method: Any, raw: bytes, metadata: Any) -> str:
    """ "" or the name of the status."""
    many = [raw, raw]
    try:
        if method.client_streaming and method.server_streaming:
            async for _ in channel.stream_stream(path)(iter(many), metadata=metadata):
                pass
        elif method.client_streaming:
            await channel.stream_unary(path)(iter(many), metadata=metadata)
        elif method.server_streaming:
            timeout = WATCHED_S if method.name == "WatchDecisions" else None
            async for _ in channel.unary_stream(path)(raw, metadata=metadata, timeout=timeout):
                pass
        else:
            await channel.unary_unary(path)(raw, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        watched = method.name == "WatchDecisions" and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return "" if watched else str(error.code().name)
    return ""


@pytest.mark.parametrize("service", ["Router", "Admin"])
async def test_grpc_requests(fuzz, mutations, house, service):
    make, methods = requests_of(mutations, service)
    full, channel = (ROUTER_SERVICE, house.router) if service == "Router" else (ADMIN_SERVICE, house.admin)

    async def call(made: tuple[str, bytes, Any]) -> str:
        name, raw, metadata = made
        return await answered(channel, f"/{full}/{name}", methods[name], raw, metadata)

    seen = await fuzz.calls(make, call, lambda said: said in FAULTS)
    assert "INVALID_ARGUMENT" in seen.kinds


async def test_bodies_and_headers_at_the_openai_door(fuzz, mutations, house):
    paths = {
        "/v1/chat/completions": mutations.strange_json([CHAT, PLAIN, STREAM]),
        "/v1/completions": mutations.strange_json([PROMPT]),
        "/v1/feedback": mutations.strange_json([FEEDBACK]),
    }
    words = (
        "Bearer x",
        "text/plain",
        'application/json; charset="',
        "a" * 5000,
        "%00",
        "00-" + "0" * 32,
        "é".encode().decode("latin-1"),
    )

    def make(rng: Random) -> tuple[str, bytes, dict[str, str]]:
        path = rng.choice(list(paths))
        headers = {"Content-Type": "application/json"}
        if rng.random() < 0.3:
            headers[
                rng.choice(("Authorization", "Idempotency-Key", "traceparent", "Content-Type", "Origin"))
            ] = rng.choice(words)
        return path, paths[path](rng), headers

    async def call(made: tuple[str, bytes, dict[str, str]]) -> str:
        path, body, headers = made
        async with house.http.post(house.url + path, data=body, headers=headers) as response:
            said = await response.read()
            if response.status == 200:
                return ""
            assert json.loads(said)["error"]["message"]
            return f"HTTP {response.status}"

    await fuzz.calls(make, call, lambda said: said >= "HTTP 500")


async def test_bodies_of_the_consoles_calls(fuzz, mutations, house):
    seeds = {
        "ListDecisions": {"page_size": 5, "page_token": "", "tenant": "team"},
        "GetDecision": {"decision_id": "d"},
        "SetBudget": {"account": "all", "limit": "100", "window": "3600s"},
        "SetMode": {"mode": "MODE_APPLY", "tenant": "team"},
        "GetBudget": {"tenant": "team"},
    }
    makers = {name: mutations.strange_json([seed]) for name, seed in seeds.items()}

    def make(rng: Random) -> tuple[str, bytes]:
        name = rng.choice(sorted(makers))
        return (name if rng.random() < 0.95 else "Nothing"), makers[name](rng)

    async def call(made: tuple[str, bytes]) -> str:
        url, headers = f"{house.url}/console/api/{made[0]}", {"Content-Type": "application/json"}
        async with house.http.post(url, data=made[1], headers=headers) as response:
            await response.read()
            return "" if response.status == 200 else f"HTTP {response.status}"

    await fuzz.calls(make, call, lambda said: said >= "HTTP 500")

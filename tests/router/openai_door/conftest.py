"""The door over backends of the test's own, in this process; and `apportion serve` before stub model servers."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from openai import AsyncOpenAI, OpenAI

from predictors.observation import Sample
from router.admission.admission import Admission
from router.admission.coalescing import Coalescer
from router.assemble import Service, assemble
from router.assemble_parts import build_backends
from router.backends import Call, Capabilities
from router.backends.stub_process import StubProcess
from router.config import Config
from router.domain.events import Delta
from router.domain.usage import Meter, Usage
from router.openai_door.door import Behind, Clocks, Door, Entrance
from router.reports import Reports
from router.serving.known import known_names

STORY = "Once upon a time there was a fox"
STOPS_WITHIN_S = 30.0


# ------------------------------------------------------------------------------------------------ in this process


@dataclass
class Gated:
    """Says one word at a time, the first at once if it may, others when `gate` is open; knows who came and left."""

    name: str = "gated"
    text: str = "alpha beta"
    capabilities: Capabilities = field(default_factory=Capabilities)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    first_at_once: bool = True
    failure: Exception | None = None  # raised when the gate opens
    calls: list[Call] = field(default_factory=list)

    async def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample | Delta]:
        self.calls.append(call)
        self.entered.release()
        try:
            for number, word in enumerate(self.text.split(" ")):
                if number or not self.first_at_once:
                    await self.gate.wait()
                    if self.failure is not None:
                        raise self.failure
                if call.stream:
                    yield Delta("0.0", word if number == 0 else f" {word}", backend=self.name)
            yield Sample("0.0", self.name, self.text, finish_reason="stop", tokens_in=5, tokens_out=2)
        finally:
            meter.add(self.name, Usage(5, tokens_out=2, samples=1))
            self.left.release()

    async def close(self) -> None:
        """Nothing to release."""


def settings(**server: Any) -> dict[str, Any]:
    scripts = {
        "small": ["4", "4", "5"],
        "story": [STORY],
        "broken": ["!unavailable"],
        "refusing": ["!refused"],
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
        "server": {"http_listen": "127.0.0.1:0", **server},
    }


@dataclass
class House:
    """A door that is open, with all that is behind it in reach."""

    service: Service
    door: Door
    admission: Admission
    gated: Gated
    url: str
    client: AsyncOpenAI
    http: aiohttp.ClientSession
    refused: Counter[tuple[str, str]]

    async def ask(self, model: str = "story", text: str = "2 + 2?", **fields: Any) -> Any:
        """A chat request by the official client."""
        return await self.client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], **fields
        )

    async def post(
        self, body: Any = None, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> aiohttp.ClientResponse:
        """A chat request as it is; read it before the next one."""
        sent = {"model": "story", "messages": [{"role": "user", "content": "2 + 2?"}], **fields}
        response = await self.http.post(
            f"{self.url}/v1/chat/completions", json=sent if body is None else body, headers=headers
        )
        await response.read()
        return response

    async def rows(self) -> list[Any]:
        """What was logged, newest first."""
        return list((await self.service.store.decisions(100, "", None)).decisions)


@pytest.fixture
def server_settings() -> Mapping[str, Any]:
    """What a test wants differently in [server]; override it by `parametrize`."""
    return {}


@pytest.fixture
def keep_alive_s() -> float:
    return 15.0


@pytest.fixture
def coalescer() -> Coalescer | None:
    return None


@pytest.fixture
async def house(
    server_settings: Mapping[str, Any], keep_alive_s: float, coalescer: Coalescer | None
) -> AsyncIterator[House]:
    config = msgspec.convert(settings(**server_settings), Config)
    gated, numbers = Gated(), itertools.count(1)
    refused: Counter[tuple[str, str]] = Counter()
    service = assemble(config, base=Path(), backends={**build_backends(config, Path()), "gated": gated})
    admission = Admission(config.server.max_queries)
    behind = Behind(
        service.allocator,
        service.plans.values(),
        known_names(service),
        Reports(service.store),
        new_id=lambda: f"new-{next(numbers)}",
        coalescer=coalescer,
    )
    clocks = Clocks(keep_alive_s)
    door = Door(config.server, behind, Entrance(admission, refused=refused), clocks=clocks)
    url = f"http://{await door.start()}"
    async with (
        AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=20.0) as client,
        aiohttp.ClientSession() as http,
    ):
        yield House(service, door, admission, gated, url, client, http, refused)
    await door.stop()
    await service.close()


# ------------------------------------------------------------------------------------------------ a process of its own

SCRIPT = r"""
{"match": "2 + 2", "text": "The answer is 4."}
{"match": "2 + 2", "text": "It must be 4."}
{"match": "story", "text": "Once upon a time there was a fox, and the fox had a very long way to go."}
{"match": "weather", "tool_calls": [{"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}, {"name": "get_time"}]}
{"match": "picture", "text": "A cat."}
{"match": "think", "reasoning": "Let me see.", "text": "The answer is 7."}
{"match": "as JSON", "text": "{\"city\": \"Paris\", \"degrees\": 21}"}
"""

CONFIG = """
reference = "large"
untrained = "small"

[store]
sqlite = "decisions.db"

[server]
http_listen = "127.0.0.1:0"

[server.forward]
"/v1/embeddings" = "small"
"/tokenize" = "small"

[metrics]
listen = "127.0.0.1:0"
on_door = true

[budget]
dollars = {dollars}

[backends.small]
kind = "vllm"
urls = ["{small}"]
model = "stub"
price_in = 0.1
price_out = 0.2
max_tokens = 256
logprobs = true
tools = true
images = true
response_format = true
extra_allowed = ["reasoning_effort"]

[backends.large]
kind = "vllm"
urls = ["{large}"]
model = "stub"
price_in = 1.0
price_out = 2.0
max_tokens = 256

[[plans]]
name = "small"
stages = [{{ backend = "small" }}]

[[plans]]
name = "vote"
stages = [{{ backend = "small", max_samples = 8, width = 4, stop = {{ kind = "agreement", needed = 2 }} }}]

[[plans]]
name = "cascade"
stages = [{{ backend = "small", stop = {{ kind = "confident", threshold = 1.0 }} }}, {{ backend = "large" }}]

[[plans]]
name = "large"
stages = [{{ backend = "large" }}]
"""


@dataclass
class Served:
    """`apportion serve` with its door open, before a small and a large stub."""

    process: subprocess.Popen[str]
    admin: str
    base_url: str
    small: StubProcess
    large: StubProcess
    metrics_url: str

    def client(self, **options: Any) -> OpenAI:
        """The official client; it tries nothing again unless told."""
        return OpenAI(
            base_url=self.base_url, api_key="none", **{"max_retries": 0, "timeout": 30.0, **options}
        )

    def async_client(self, **options: Any) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=self.base_url, api_key="none", **{"max_retries": 0, "timeout": 30.0, **options}
        )


@pytest.fixture(scope="session")
def door_stubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StubProcess, StubProcess]]:
    """Two models that say what SCRIPT says, 500 tokens per second and sequence."""
    script = tmp_path_factory.mktemp("door") / "script.jsonl"
    script.write_text(SCRIPT.strip())
    with (
        StubProcess("--pace", "10", "--script", str(script)) as small,
        StubProcess("--pace", "10", "--script", str(script)) as large,
    ):
        yield small, large


@pytest.fixture(scope="session")
def serve_door(
    door_stubs: tuple[StubProcess, StubProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Served]]:
    """Starts servers; `serve_door(dollars=…)` as often as wanted."""
    started: list[subprocess.Popen[str]] = []
    small, large = door_stubs

    def start(dollars: float = 10.0) -> Served:
        folder = tmp_path_factory.mktemp("serve")
        config = folder / "router.toml"
        config.write_text(CONFIG.format(small=small.url, large=large.url, dollars=dollars))
        any_port = "127.0.0.1:0"
        command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
        command += ["--listen", any_port, "--admin-listen", any_port]
        log = folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        started.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"listening router=(\S+) admin=(\S+) http=(\S+) metrics=(\S+)\n", said)
        assert found, (said, log.read_text())
        return Served(process, found[2], f"http://{found[3]}/v1", small, large, f"http://{found[4]}/metrics")

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(STOPS_WITHIN_S)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def one_served(serve_door: Callable[..., Served]) -> Served:
    return serve_door()


@pytest.fixture
def served(one_served: Served) -> Served:
    """One server for all tests; the stubs have forgotten what was before."""
    one_served.small.reset()
    one_served.large.reset()
    return one_served

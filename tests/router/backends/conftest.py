"""A stub server as a real process of its own, calls to send to it, and a small recording."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.backends import Call
from router.backends.stub_process import StubProcess
from router.backends.vllm import VLLM
from router.config import BackendConfig
from router.domain.events import Delta
from router.domain.plan import Prompt
from router.domain.usage import Meter
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

SCRIPT = """\
{"match": "think", "reasoning": "Two and two make four.", "text": "It is 4."}
{"match": "weather", "tool_calls": [{"name": "look_up", "arguments": "{\\"city\\": \\"Rome\\"}"}, {"name": "now"}]}
{"match": "nothing", "text": ""}
"""


@pytest.fixture(scope="session")
def stub_process() -> Iterator[StubProcess]:
    with StubProcess() as process:
        yield process


@pytest.fixture(scope="session")
def paced_process() -> Iterator[StubProcess]:
    with StubProcess("--pace", "10") as process:
        yield process


@pytest.fixture(scope="session")
def scripted_process(tmp_path_factory) -> Iterator[StubProcess]:
    script = tmp_path_factory.mktemp("script") / "script.jsonl"
    script.write_text(SCRIPT)
    with StubProcess("--script", str(script), "--api-key", "open sesame") as process:
        yield process


@pytest.fixture
def stub(stub_process: StubProcess) -> StubProcess:
    """Answers at once."""
    stub_process.reset()
    return stub_process


@pytest.fixture
def paced(paced_process: StubProcess) -> StubProcess:
    """500 tokens per second and sequence."""
    paced_process.reset()
    return paced_process


@pytest.fixture
def make_call() -> Callable[..., Call]:
    def make(text: str = "What is 2 + 2?", *, query: dict[str, Any] | None = None, **options: Any) -> Call:
        said = Query(
            **({"request_id": "r", "messages": (Message("user", (Part(text=text),)),)} | (query or {}))
        )
        known: dict[str, Any] = {
            "query": said,
            "stage": 0,
            "sampling": Sampling(temperature=0.8, max_tokens=2000),
            "prompt": Prompt(),
            "max_samples": 1,
            "width": 1,
            "seed": 11,
        }
        return Call(**(known | options))

    return make


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., VLLM]]:
    """`connect(url, …)` gives a backend that is closed after the test."""
    made: list[VLLM] = []

    def make(*urls: str, environ: dict[str, str] | None = None, **config: Any) -> VLLM:
        options: dict[str, Any] = {
            "kind": "vllm",
            "urls": urls,
            "model": "stub",
            "first_token_timeout_s": 20.0,
        }
        made.append(VLLM("small", BackendConfig(**(options | config)), environ or {}))
        return made[-1]

    yield make
    for backend in made:
        await backend.close()


class Drawn:
    """Everything that a call brought."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.samples: list[Sample] = []
        self.growing: list[Sample] = []
        self.deltas: list[Delta] = []

    @property
    def usage(self) -> Any:
        (usage,) = self.meter.by_backend.values()
        return usage


@pytest.fixture
def draw() -> Callable[..., Any]:
    """`await draw(backend, call, into=…)` runs a call to its end, or to its error with `into` filled up to there."""

    async def run(backend: Any, call: Call, into: Drawn | None = None) -> Drawn:
        drawn = Drawn() if into is None else into
        async with aclosing(backend.sample(call, drawn.meter)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    drawn.deltas.append(event)
                else:
                    (drawn.samples if event.finished else drawn.growing).append(event)
        return drawn

    return run


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """`record(queries, samples)` writes a recording of backends small and large and gives its folder."""

    def write(queries: list[dict[str, Any]], samples: list[dict[str, Any]], name: str = "recorded") -> Path:
        folder = tmp_path / name
        meta = RecordingMeta(name, {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)})
        write_recording(folder, meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(samples))
        return folder

    return write

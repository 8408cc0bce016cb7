"""What every backend of the table keeps, whoever wrote it.

A backend that needs nothing is built from its kind alone; one that needs a server or a folder gets it in `CONFIGS`.
One that has no line there is still asked to fail as the contract says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.backends import BACKENDS, Backend, Call, Capabilities
from router.backends.scripted import Scripted
from router.backends.stub_process import StubProcess
from router.config import BackendConfig, ComposeConfig
from router.domain.events import Delta
from router.domain.plan import Prompt
from router.domain.usage import Meter, Usage
from router.errors import BackendError
from router.plugins import resolve
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording

QUESTION = "What is 2 + 2?"


@pytest.fixture(scope="module")
def server() -> Iterator[StubProcess]:
    with StubProcess() as process:
        yield process


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = Path(tmp_path_factory.mktemp("contract") / "recording")
    samples = [
        {
            "query_id": "q",
            "backend": "recorded",
            "sample_idx": index,
            "text": f"sample {index} of the recording says so",
            "tokens_in": 5,
            "tokens_out": 7 + index,
        }
        for index in range(12)
    ]
    queries = [{"query_id": "q", "query": QUESTION}]
    meta = RecordingMeta("recording", {"recorded": Prices(1.0, 1.0)})
    write_recording(path, meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(samples))
    return path


@pytest.fixture
async def backend(kind: str, request) -> AsyncIterator[Backend]:
    options: dict[str, Any] = {}
    if kind == "vllm":
        options = {"urls": (request.getfixturevalue("server").url,), "model": "stub"}
    elif kind == "recorded":
        options = {"recording": str(request.getfixturevalue("folder"))}
    elif kind == "scripted":
        options = {"script": ("one two three", "four five", "six")}
    # a backend that needs nothing to answer is tested as it is; one that does gets its line here
    made_of = resolve("backend kind", BACKENDS, kind)
    if getattr(made_of, "composed", False):
        script = BackendConfig(kind="scripted", script=("one two three", "four five", "six"))
        options = {"compose": ComposeConfig(small="a", large="b")}
        members = {name: Scripted(name, script) for name in "ab"}
        made = made_of(kind, BackendConfig(kind=kind, **options), members)
    else:
        made = made_of(kind, BackendConfig(kind=kind, **options))
    yield made
    await made.close()


def pytest_generate_tests(metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", sorted(BACKENDS))


def call(**options: Any) -> Call:
    known: dict[str, Any] = {
        "query": Query("r", (Message("user", (Part(text=QUESTION),)),)),
        "stage": 2,
        "sampling": Sampling(temperature=0.7, max_tokens=500),
        "prompt": Prompt(),
        "max_samples": 5,
        "width": 2,
        "seed": 42,
    }
    return Call(**(known | options))


async def drawn(backend: Backend, asked: Call) -> tuple[list[Sample], list[Delta], Meter]:
    meter, samples, deltas = Meter(), [], []
    async for event in backend.sample(asked, meter):
        if isinstance(event, Delta):
            deltas.append(event)
        else:
            samples.append(event)
    return samples, deltas, meter


def booked(meter: Meter) -> Usage:
    """On everybody: a composition's tokens are its members'."""
    return sum(meter.by_backend.values(), Usage())


def contents(samples: list[Sample]) -> list[tuple[str, int, str]]:
    return sorted((sample.sample_id, sample.index, sample.text) for sample in samples)


async def test_it_is_built_from_a_name_and_a_section_alone(kind):
    made = resolve("backend kind", BACKENDS, kind)("its name", BackendConfig(kind=kind))
    assert isinstance(made, Backend)
    assert made.name == "its name"
    assert isinstance(made.capabilities, Capabilities)
    await made.close()


async def test_what_it_lacks_is_a_backend_error(kind):
    made = resolve("backend kind", BACKENDS, kind)("its name", BackendConfig(kind=kind))
    try:
        samples, _, _ = await drawn(made, call(time_left_s=5.0))
    except BackendError as error:
        assert str(error)  # noqa: PT017 (a backend that needs nothing raises nothing)
    else:
        assert samples
    await made.close()


@pytest.mark.parametrize("width", [1, 2, 5])
async def test_it_yields_at_most_max_samples_and_all_of_them_finished(backend, width):
    samples, _, _ = await drawn(backend, call(width=width))
    assert len(samples) == 5
    assert all(sample.finished and sample.finish_reason for sample in samples)


async def test_ids_count_the_samples_of_the_stage(backend):
    samples, _, _ = await drawn(backend, call())
    assert sorted(sample.sample_id for sample in samples) == [f"2.{number}" for number in range(5)]
    assert {(sample.stage, sample.backend) for sample in samples} == {(2, backend.name)}


@pytest.mark.parametrize("width", [1, 5])
async def test_equal_seeds_draw_equal_samples(backend, width):
    first, _, _ = await drawn(backend, call(width=width))
    second, _, _ = await drawn(backend, call(width=width))
    assert contents(first) == contents(second)


async def test_streaming_changes_nothing_but_the_deltas(backend):
    still, none, _ = await drawn(backend, call())
    streamed, deltas, _ = await drawn(backend, call(stream=True))
    assert contents(still) == contents(streamed)
    assert none == []
    for sample in streamed:
        pieces = [delta for delta in deltas if delta.sample_id == sample.sample_id]
        assert "".join(delta.text for delta in pieces) == sample.text
        assert {delta.backend for delta in pieces} == {backend.name}


@pytest.mark.parametrize("width", [1, 2, 5])
async def test_usage_is_booked_before_a_sample_is_yielded(backend, width):
    meter, tokens, samples = Meter(), 0, 0
    async with aclosing(backend.sample(call(width=width), meter)) as events:
        async for event in events:
            tokens, samples = tokens + event.tokens_out, samples + 1
            assert booked(meter).tokens_out >= tokens
            assert meter.by_backend[backend.name].samples >= samples
            assert booked(meter).tokens_in >= event.tokens_in
    if not getattr(backend, "composed", False):  # a composition also pays for what it does not keep
        assert meter.by_backend[backend.name].tokens_out == tokens
    assert booked(meter).samples == samples


async def test_a_closed_iterator_leaves_no_task_behind(backend):
    events = backend.sample(call(stream=True), Meter())
    await anext(events)
    await events.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_closed_iterator_has_booked_what_was_shown(backend):
    meter, shown = Meter(), 0
    async with aclosing(backend.sample(call(stream=True, width=1), meter)) as events:
        async for event in events:
            shown += event.tokens
            if shown >= 2:
                break
    assert booked(meter).tokens_out >= shown


async def test_an_iterator_that_was_never_asked_starts_nothing(backend):
    meter = Meter()
    await backend.sample(call(), meter).aclose()
    assert meter.by_backend == {}


async def test_calls_side_by_side_do_not_mix(backend):
    calls = [call(stage=stage, stream=True) for stage in range(4)]
    together = await asyncio.gather(*(drawn(backend, one) for one in calls))
    for stage, (samples, deltas, _) in enumerate(together):
        assert {sample.stage for sample in samples} == {stage}
        assert {delta.sample_id.split(".")[0] for delta in deltas} == {str(stage)}


async def test_it_can_be_closed_twice(backend):
    await backend.close()
    await backend.close()

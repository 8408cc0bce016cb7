"""A real vLLM on the CPU answers as the protocol says, survives a burst of seeded requests, and is gone afterwards."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.backends import Call
from router.backends.openai_chunks import EventReader
from router.backends.server_load import read_load
from router.backends.vllm import VLLM
from router.config import BackendConfig
from router.domain.plan import Prompt
from router.domain.usage import Meter
from router.recording import Recording
from training.collect.command import collect_command
from training.collect.queries import read_queries
from training.vllm_cpu.server import VllmServer
from training.workload.generate import workload, write_workload

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def collected(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """96 seeded samples, all in flight at once: chunked prefill ended the engine here."""
    folder = tmp_path_factory.mktemp("live")
    write_workload(folder / "queries.jsonl", workload(1)[:12])
    collect_command(
        [f"small={small.url},prompt=direct"],
        queries=folder / "queries.jsonl",
        out=folder / "recording",
        samples=8,
        max_tokens=16,
        concurrency=96,
    )
    assert len(read_queries(folder / "queries.jsonl")) == 12
    return Recording.load(Path(folder / "recording"))


def test_every_sample_of_a_burst_comes_back(collected: Recording) -> None:
    assert len(collected.columns) == 12 * 8
    assert collected.meta.extra["collected"]["small"]["model"] == "SmolLM2-135M-Instruct"


def test_usage_logprobs_and_timings_are_reported(collected: Recording) -> None:
    seen = collected.columns
    assert (seen.tokens_in > 20).all()
    assert ((seen.tokens_out >= 1) & (seen.tokens_out <= 16)).all()
    assert (seen.mean_logprob < 0).all() and (seen.first_entropy > 0).any()
    assert ((seen.first_token_s > 0) & (seen.first_token_s <= seen.latency_s)).all()


def test_the_router_can_read_how_loaded_it_was(small: VllmServer, collected: Recording) -> None:
    with urlopen(f"{small.url}/metrics") as said:
        load = read_load(said.read().decode())
    assert load is not None
    assert (load.running, load.waiting) == (0.0, 0.0)
    assert load.firsts >= len(collected.columns) // 8 and load.first_s > 0
    assert load.betweens > 100 and 0 < load.between_s < load.stay_s
    assert load.stays >= len(collected.columns) // 8


def test_samples_of_one_query_differ(collected: Recording) -> None:
    texts = [{sample.text for sample in collected.samples(q.query_id, "small")} for q in collected.queries]
    assert sum(len(found) > 1 for found in texts) >= 6


async def test_several_tokens_come_at_a_time_and_the_sample_is_the_same(
    small: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[int] = []

    class Counting(EventReader):
        def feed(self, received: bytes) -> list[bytes]:
            found = super().feed(received)
            events[-1] += len(found)
            return found

    monkeypatch.setattr("router.backends.openai_exchange.EventReader", Counting)
    config = BackendConfig(urls=(small.url,), model="SmolLM2-135M-Instruct", logprobs=True)
    query = Query("r", (Message("user", (Part(text="Count from one to thirty in words."),)),))
    sampling = Sampling(temperature=0.0, max_tokens=60)
    call = Call(query, 0, sampling, Prompt(), max_samples=1, width=1, seed=1, logprobs=True)
    backend, samples = VLLM("small", config, {}), list[Sample]()
    for _ in range(2):  # the first shows that usage comes with every piece
        events.append(0)
        samples += [event async for event in backend.sample(call, Meter()) if isinstance(event, Sample)]
    await backend.close()
    one_by_one, several = samples
    assert (several.text, several.tokens_out) == (one_by_one.text, one_by_one.tokens_out)
    assert several.mean_logprob == pytest.approx(one_by_one.mean_logprob or 0.0, abs=1e-3)
    assert not several.usage_estimated
    assert events[1] < events[0] / 4

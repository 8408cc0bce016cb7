"""A real vLLM: a trace is looked at while it grows, cut, its thought closed and the answer given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from predictors.observation import Message, Part, Query, Sample, Sampling
from router.backends import Call
from router.backends.vllm import VLLM
from router.config import BackendConfig, GrowingConfig
from router.domain.growth import Growth
from router.domain.plan import Prompt
from router.domain.usage import Meter
from training.vllm_cpu.counters import Counters, wait_for
from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]

LIMIT = 1200  # tokens: a fast server has not written them before the second side call is answered
ASKED = "How much is 12 + 30? Think about it in many steps, one on every line, and check every one of them."


@pytest.fixture
async def backend(small: VllmServer) -> AsyncIterator[VLLM]:
    growing = GrowingConfig(cues=("\n", "wait"), patience=16, side_call_s=300.0)
    config = BackendConfig(
        urls=(small.url,), model=small.model, logprobs=True, extra_allowed=("min_tokens",), timeout_s=900.0,
        first_token_timeout_s=300.0, growing=growing,
    )  # fmt: skip
    made = VLLM("small", config, {})
    yield made
    await made.close()


def call_of(**more: object) -> Call:
    """A sample that would go on to `LIMIT` tokens."""
    query = Query("r", (Message("user", (Part(text=ASKED),)),), extra={"min_tokens": LIMIT})
    known: dict[str, object] = {
        "query": query, "stage": 0, "sampling": Sampling(temperature=0.7, max_tokens=LIMIT), "prompt": Prompt(),
        "max_samples": 1, "width": 1, "seed": 3, "logprobs": True, "growing": True, "growth": Growth(64, 64),
    }  # fmt: skip
    return Call(**(known | more))  # type: ignore[arg-type]


def resting(url: str) -> Counters:
    return wait_for(url, lambda seen: seen.at_rest, 60.0)


async def test_a_trace_is_cut_and_answers_and_the_rest_is_never_generated(
    backend: VLLM, small: VllmServer
) -> None:
    before, call, meter, seen = resting(small.url), call_of(), Meter(), []
    async with aclosing(backend.sample(call, meter)) as events:
        async for event in events:
            assert isinstance(event, Sample)
            seen.append(event)
            if len(seen) == 2:  # the second look
                call.closing.add(event.sample_id)
    counted = resting(small.url).since(before)
    looks, closed = seen[:-1], seen[-1]
    assert [look.finished for look in looks] == [False] * len(looks)
    assert (closed.finished, closed.finish_reason) == (True, "closed")
    assert "The answer is" in closed.text
    assert closed.tokens_out < LIMIT - 100
    assert counted.generation_tokens < LIMIT - 50
    usage = meter.by_backend["small"]
    assert usage.samples == 1
    assert usage.side_calls >= 2
    assert usage.tokens_out <= counted.generation_tokens + usage.side_calls
    assert usage.tokens_cached >= 64  # the side calls read what the sample had computed
    assert counted.cache_hits >= usage.tokens_cached > 0


async def test_looks_have_answers_with_a_probability(backend: VLLM) -> None:
    call, meter, looks = call_of(), Meter(), []
    async with aclosing(backend.sample(call, meter)) as events:
        async for event in events:
            looks.append(event)
            if len(looks) == 3:
                break
    assert all(isinstance(look, Sample) and not look.finished for look in looks)
    known = [look for look in looks if isinstance(look, Sample) and look.answer is not None]
    assert known
    assert all(0 < (look.confidence or 0) <= 1 for look in known)


async def test_looks_wait_for_the_words_of_a_rule_and_where_none_is_said_nothing_is_asked(
    backend: VLLM, small: VllmServer
) -> None:
    heard, asked = [], Meter()
    async with aclosing(backend.sample(call_of(growth=Growth(32, 32, cues=("E",))), asked)) as events:
        async for event in events:
            assert isinstance(event, Sample)
            heard.append(event.text)
            if len(heard) == 3:
                break
    before = 0
    for text in heard:  # a look has one behind the look before it
        assert "e" in text[before:].casefold()
        before = len(text)
    assert asked.by_backend["small"].side_calls >= 3
    resting(small.url)
    silent = Meter()
    call = call_of(
        growth=Growth(32, 32, cues=("\N{SNOWMAN} therefore",)),
        query=Query("r", (Message("user", (Part(text=ASKED),)),), extra={"min_tokens": 160}),
        sampling=Sampling(temperature=0.7, max_tokens=160),
    )
    async with aclosing(backend.sample(call, silent)) as events:
        seen = [event async for event in events]
    assert [event.finished for event in seen if isinstance(event, Sample)] == [True]
    assert silent.by_backend["small"].side_calls == 0


async def test_leaving_frees_the_trace_and_its_side_call(backend: VLLM, small: VllmServer) -> None:
    resting(small.url)
    events = backend.sample(call_of(max_samples=2, width=2), Meter())
    await anext(events)
    await events.aclose()
    assert wait_for(small.url, lambda seen: seen.at_rest, 1.0, pause_s=0.1).at_rest

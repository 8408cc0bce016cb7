"""The scripted backend says what it was told to, in order, with faults at will."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from predictors.observation import Sample, Sampling
from router.backends.scripted import Scripted
from router.config import BackendConfig
from router.domain.usage import Meter, Usage
from router.errors import BackendGarbled, BackendRefused, BackendTimeout, BackendUnavailable


def scripted(*script: str) -> Scripted:
    return Scripted("told", BackendConfig(kind="scripted", script=script))


async def test_texts_come_in_order_and_again_from_the_start(make_call, draw):
    drawn = await draw(scripted("a", "b"), make_call(max_samples=3))
    assert [sample.text for sample in drawn.samples] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("!timeout", BackendTimeout),
        ("!unavailable", BackendUnavailable),
        ("!garbled", BackendGarbled),
        ("!refused", BackendRefused),
    ],
)
async def test_a_fault_is_raised_at_its_turn(make_call, draw, drawn, fault, error):
    with pytest.raises(error, match=f"told: scripted fault '{fault}' at sample 0.1"):
        await draw(scripted("fine", fault), make_call(max_samples=2), drawn)
    assert [sample.text for sample in drawn.samples] == ["fine"]


async def test_a_hanging_sample_keeps_its_place_until_it_is_cut(make_call):
    backend, meter, seen = scripted("!hang", "a"), Meter(), list[str]()

    async def listen() -> None:
        async with aclosing(backend.sample(make_call(max_samples=4, width=2), meter)) as events:
            async for event in events:
                seen.append(event.sample_id)
                assert backend.in_flight == {"0.0"}

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listen(), 0.01)
    assert seen == ["0.1"]
    assert backend.in_flight == set()
    assert meter.by_backend["told"].samples == 3


async def test_a_pruned_hanging_sample_makes_room(make_call):
    call, seen = make_call(max_samples=3, width=2), []
    async with aclosing(scripted("!hang", "a", "b").sample(call, Meter())) as events:
        async for event in events:
            seen.append(event.sample_id)
            call.pruned.add("0.0")
    assert seen == ["0.1", "0.2"]


async def test_a_sample_cut_between_words_costs_the_words_that_came(make_call):
    meter = Meter()
    async with aclosing(scripted("one two three four").sample(make_call("", stream=True), meter)) as events:
        await anext(events)
        await anext(events)
    assert meter.by_backend["told"] == Usage(tokens_out=2, samples=1)


async def test_growing_samples_come_word_by_word(make_call, draw):
    drawn = await draw(scripted("one two three"), make_call(growing=True))
    assert [(one.text, one.prefix_tokens) for one in drawn.growing] == [("one", 1), ("one two", 2)]
    assert drawn.samples[0].text == "one two three"


async def test_a_pruned_growing_sample_stops(make_call):
    call, seen = make_call(growing=True), []
    async with aclosing(scripted("one two three").sample(call, Meter())) as events:
        async for event in events:
            assert isinstance(event, Sample)
            seen.append(event.text)
            call.pruned.add("0.0")
    assert seen == ["one"]


async def test_max_tokens_cuts_the_text(make_call, draw):
    (sample,) = (await draw(scripted("one two three"), make_call(sampling=Sampling(max_tokens=2)))).samples
    assert (sample.text, sample.tokens_out, sample.finish_reason) == ("one two", 2, "length")


async def test_calls_are_kept_for_tests_to_look_at(make_call, draw):
    backend, call = scripted("a"), make_call()
    await draw(backend, call)
    assert backend.calls == [call]

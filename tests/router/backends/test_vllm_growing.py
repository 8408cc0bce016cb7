"""Samples that are looked at while they grow, from a stub server: side calls over HTTP, booked and freed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from predictors.observation import Sample
from router.backends.stub_process import StubProcess
from router.config import GrowingConfig
from router.domain.growth import Growth
from router.domain.usage import Meter

LONG = "one two three four five six seven eight " * 12  # 96 tokens of the stub
ENDLESS = LONG * 60  # a dozen seconds, so that who is slow to close it still comes in time
SPOKEN = LONG[: 5 * len(LONG) // 12] + "Thus it is four. " + LONG * 8
SCRIPT = f"""\
{{"match": "Recite", "text": "{ENDLESS.strip()}."}}
{{"match": "Conclude", "text": "{SPOKEN.strip()}."}}
{{"match": "Count", "text": "{LONG.strip()}."}}
{{"match": "The answer is", "text": " 4."}}
"""
AT_ONCE = GrowingConfig(cues=())


@pytest.fixture(scope="module")
def counting_process(tmp_path_factory) -> Iterator[StubProcess]:
    """The seed 11 takes the script's second line where both fit: a side call's."""
    script = tmp_path_factory.mktemp("script") / "script.jsonl"
    script.write_text(SCRIPT)
    with StubProcess("--script", str(script), "--pace", "10") as process:
        yield process


@pytest.fixture
def counting(counting_process: StubProcess) -> StubProcess:
    counting_process.reset()
    return counting_process


def at_rest(stub: StubProcess) -> dict[str, int]:
    return stub.until(lambda state: state["running"] == 0)


def call_of(make_call: Any, text: str = "Count to a hundred.", **more: Any) -> Any:
    return make_call(text, growing=True, growth=Growth(30, 30), logprobs=True, **more)


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_looks_are_side_calls_on_what_the_server_has_in_its_cache(
    counting, connect, make_call, draw, api
):
    backend = connect(counting.url, api=api, logprobs=True, growing=AT_ONCE)
    drawn = await draw(backend, call_of(make_call))
    assert len(drawn.growing) >= 2
    assert {look.answer for look in drawn.growing} == {"4"}
    assert all(0 < (look.confidence or 0) <= 1 for look in drawn.growing)
    (whole,) = drawn.samples
    assert whole.text.startswith("one two") and whole.finish_reason == "stop"
    late = drawn.usage.side_calls - len(drawn.growing)  # asked just before the end
    assert (late in (0, 1), drawn.usage.samples) == (True, 1)
    assert 0 <= drawn.usage.tokens_out - whole.tokens_out - 2 * len(drawn.growing) <= 2 * late
    assert drawn.usage.tokens_cached > 0


async def test_a_rule_with_cues_asks_the_server_where_they_were_said_alone(
    counting, connect, make_call, draw
):
    """The server's own cues and patience are for rules without."""
    call = replace(call_of(make_call, "Conclude."), growth=Growth(0, 8, cues=("thus",)))
    drawn = await draw(connect(counting.url), call)
    (look,) = drawn.growing
    assert "Thus" in look.text and 5 <= look.text.count("one two") <= 60
    assert (look.answer, drawn.usage.side_calls) == ("4", 1)


async def test_the_side_call_says_what_was_written_so_far_and_goes_on_from_it(
    counting, connect, make_call, draw
):
    await draw(connect(counting.url, growing=AT_ONCE), call_of(make_call))
    bodies = [seen["body"] for seen in counting.requests()]
    aside = [body for body in bodies if body.get("continue_final_message")]
    assert aside
    last = aside[0]["messages"][-1]
    assert last["role"] == "assistant"
    assert last["content"].startswith("one two") and last["content"].endswith("\n\nThe answer is")
    assert (aside[0]["temperature"], aside[0]["max_tokens"]) == (0.0, 20)


async def test_a_trace_that_is_closed_ends_at_the_server_and_answers(counting, connect, make_call):
    call, meter, seen = call_of(make_call, text="Recite to a thousand."), Meter(), []
    async with aclosing(connect(counting.url, growing=AT_ONCE).sample(call, meter)) as events:
        async for event in events:
            seen.append(event)
            call.closing.add("0.0")
    last = seen[-1]
    assert isinstance(last, Sample)
    assert (last.finish_reason, last.text[-17:]) == ("closed", "\n\nThe answer is 4."[-17:])
    assert last.tokens_out < 60 * 96
    assert at_rest(counting)["aborted"] == 1
    assert counting.state()["tokens"] < 60 * 96 + 10


async def test_a_server_that_refuses_side_calls_lets_the_trace_go_on(tmp_path, connect, make_call, draw):
    (tmp_path / "script.jsonl").write_text(SCRIPT)
    with StubProcess(
        "--script", str(tmp_path / "script.jsonl"), "--pace", "10", "--refuse", "continue_final_message"
    ) as stub:
        drawn = await draw(connect(stub.url, growing=AT_ONCE), call_of(make_call))
    assert drawn.samples[0].finish_reason == "stop"
    assert drawn.growing == []


async def test_leaving_frees_the_trace_and_what_was_asked_beside_it(counting, connect, make_call):
    call, meter = call_of(make_call, max_samples=2, width=2), Meter()
    loop = asyncio.get_running_loop()
    events = connect(counting.url, growing=AT_ONCE).sample(call, meter)
    await anext(events)
    began = loop.time()
    await events.aclose()
    assert loop.time() - began < 1.0
    assert at_rest(counting)["running"] == 0


async def test_no_new_sample_is_begun_while_one_is_closed(counting, connect, make_call):
    call, meter, finished = call_of(make_call, max_samples=4, width=1), Meter(), []
    async with aclosing(connect(counting.url, growing=AT_ONCE).sample(call, meter)) as events:
        async for event in events:
            call.closing.add("0.0")
            if isinstance(event, Sample) and event.finished:
                finished.append(event.sample_id)
    assert finished == ["0.0"]
    assert meter.by_backend["small"].samples == 1

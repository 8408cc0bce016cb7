"""What the vLLM backend asks for and yields, against a stub server in a process of its own."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing, suppress

import pytest

from predictors.observation import Sample, Sampling, ToolCall
from router.backends.openai_endpoints import Endpoints
from router.backends.stub_process import StubProcess
from router.domain.events import Delta
from router.domain.usage import Meter
from router.errors import BackendUnavailable

LONG = Sampling(temperature=0.8, max_tokens=5000)
ENDLESS = {"extra": {"min_tokens": 5000}}  # the stub then speaks for at least ten seconds


async def test_one_sample_comes_with_the_servers_usage(stub, connect, make_call, draw):
    drawn = await draw(connect(stub.url), make_call())
    (sample,) = drawn.samples
    assert (sample.sample_id, sample.backend, sample.finish_reason) == ("0.0", "small", "stop")
    assert "The answer is" in sample.text
    state = stub.state()
    assert (sample.tokens_in, sample.tokens_out) == (state["prompt_tokens"], state["tokens"])
    assert not sample.usage_estimated


async def test_the_meter_shows_what_the_server_generated(stub, connect, make_call, draw):
    drawn = await draw(connect(stub.url), make_call(max_samples=5, width=2))
    state = stub.state()
    assert drawn.usage.tokens_out == state["tokens"]
    assert drawn.usage.tokens_in == state["prompt_tokens"]
    assert drawn.usage.samples == 5


async def test_samples_that_may_run_at_once_are_one_request(stub, connect, make_call, draw):
    drawn = await draw(connect(stub.url), make_call(max_samples=4, width=4))
    assert len(drawn.samples) == 4
    assert [request["body"]["n"] for request in stub.requests()] == [4]


async def test_the_prompt_of_one_request_for_many_is_booked_once(stub, connect, make_call, draw):
    drawn = await draw(connect(stub.url), make_call(max_samples=4, width=4))
    assert drawn.usage.tokens_in == stub.state()["prompt_tokens"] == drawn.samples[0].tokens_in
    assert drawn.usage.tokens_out == stub.state()["tokens"] == sum(one.tokens_out for one in drawn.samples)


async def test_together_or_one_by_one_the_same_samples_come(stub, connect, make_call, draw):
    backend = connect(stub.url)
    together = await draw(backend, make_call(max_samples=4, width=4))
    one_by_one = await draw(backend, make_call(max_samples=4, width=1))
    assert {(one.index, one.text) for one in together.samples} == {
        (one.index, one.text) for one in one_by_one.samples
    }
    assert len({one.text for one in together.samples}) > 1


async def test_at_temperature_zero_every_sample_is_a_request_of_its_own(stub, connect, make_call, draw):
    greedy = make_call(max_samples=2, width=2, sampling=Sampling(temperature=0.0, max_tokens=50))
    await draw(connect(stub.url), greedy)
    assert [request["body"]["n"] for request in stub.requests()] == [1, 1]


async def test_no_more_than_width_samples_are_in_flight(paced, connect, make_call, draw):
    drawn = await draw(connect(paced.url), make_call(max_samples=6, width=2))
    assert len(drawn.samples) == 6
    assert paced.state()["most_running"] == 2


async def test_the_next_sample_starts_only_when_the_consumer_asks(stub, connect, make_call):
    async with aclosing(connect(stub.url).sample(make_call(max_samples=5, width=2), Meter())) as events:
        await anext(events)
        state = await asyncio.to_thread(stub.until, lambda state: state["requests"] >= 2)
        assert state["requests"] == 2
        await anext(events)
        await anext(events)
        assert stub.state()["requests"] <= 4


async def test_deltas_join_to_the_text_and_count_its_tokens(stub, connect, make_call, draw):
    drawn = await draw(connect(stub.url), make_call(stream=True, max_samples=3, width=3))
    for sample in drawn.samples:
        mine = [delta for delta in drawn.deltas if delta.sample_id == sample.sample_id]
        assert "".join(delta.text for delta in mine) == sample.text
        assert sum(delta.tokens for delta in mine) == sample.tokens_out


async def test_without_stream_there_are_no_deltas(stub, connect, make_call, draw):
    assert not (await draw(connect(stub.url), make_call())).deltas


async def test_thoughts_and_their_tokens_are_kept_apart(scripted_process, connect, make_call, draw):
    backend = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "open sesame"})
    drawn = await draw(backend, make_call("think", stream=True))
    (sample,) = drawn.samples
    assert (sample.reasoning, sample.text) == ("Two and two make four.", "It is 4.")
    assert (sample.tokens_out, sample.tokens_reasoning) == (10, 6)
    assert "".join(delta.reasoning for delta in drawn.deltas) == sample.reasoning
    assert drawn.usage.tokens_reasoning == 6


@pytest.mark.parametrize("fault", ["", "no_stream"])
async def test_parallel_tool_calls_are_put_together(scripted_process, connect, make_call, draw, fault):
    if fault:
        scripted_process.fault(fault)
    backend = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "open sesame"})
    (sample,) = (await draw(backend, make_call("weather"))).samples
    assert sample.tool_calls == (
        ToolCall("call-0", "look_up", '{"city": "Rome"}'),
        ToolCall("call-1", "now", "{}"),
    )
    assert sample.finish_reason == "tool_calls"


async def test_an_empty_answer_is_a_sample(scripted_process, connect, make_call, draw):
    backend = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "open sesame"})
    (sample,) = (await draw(backend, make_call("nothing"))).samples
    assert (sample.text, sample.tokens_out, sample.finish_reason) == ("", 0, "stop")


@pytest.mark.parametrize(("api", "alternatives"), [("chat", 10), ("completions", 5)])
async def test_logprobs_become_their_mean_and_the_first_entropy(
    stub, connect, make_call, draw, api, alternatives
):
    backend = connect(stub.url, api=api, logprobs=True)
    (sample,) = (await draw(backend, make_call(logprobs=True))).samples
    # the stub's alternatives, each one nat below the one before
    weights = [math.exp(-rank) for rank in range(alternatives)]
    shares = [weight / sum(weights) for weight in weights]
    assert sample.mean_logprob == pytest.approx(-0.3)
    assert sample.first_entropy == pytest.approx(-sum(share * math.log(share) for share in shares))


@pytest.mark.parametrize(("wanted", "allowed"), [(True, False), (False, True)])
async def test_logprobs_are_asked_for_only_where_wanted_and_allowed(
    stub, connect, make_call, draw, wanted, allowed
):
    (sample,) = (await draw(connect(stub.url, logprobs=allowed), make_call(logprobs=wanted))).samples
    assert sample.mean_logprob is None
    assert "logprobs" not in stub.requests()[0]["body"]


async def test_completions_answer_a_bare_prompt(stub, connect, make_call, draw):
    (sample,) = (await draw(connect(stub.url, api="completions"), make_call())).samples
    assert "The answer is" in sample.text
    assert stub.requests()[0]["path"] == "/v1/completions"
    assert stub.requests()[0]["body"]["prompt"] == "What is 2 + 2?"


async def test_growing_samples_are_shown_at_check_points(stub, connect, make_call, draw):
    call = make_call(growing=True, max_samples=2, width=2, query={"extra": {"min_tokens": 200}})
    drawn = await draw(connect(stub.url, extra_allowed=("min_tokens",)), call)
    mine = [one for one in drawn.growing if one.sample_id == "0.1"]
    assert [one.prefix_tokens for one in mine] == [64, 128, 192]
    whole = next(one for one in drawn.samples if one.sample_id == "0.1")
    assert all(whole.text.startswith(one.text) and not one.finish_reason for one in mine)
    assert (whole.prefix_tokens, whole.tokens_out) == (None, 200)


async def test_a_pruned_sample_is_cut_and_the_others_go_on(stub, connect, make_call):
    call = make_call(growing=True, max_samples=2, width=2, query={"extra": {"min_tokens": 3000}})
    meter, ended = Meter(), list[str]()
    backend = connect(stub.url, extra_allowed=("min_tokens",))
    async with aclosing(backend.sample(call, meter)) as events:
        async for event in events:
            assert isinstance(event, Sample)
            if not ended and not call.pruned:
                call.pruned.add(event.sample_id)
            elif event.finished:
                ended.append(event.sample_id)
            assert event.sample_id not in call.pruned or len(call.pruned) == 1
    assert len(ended) == 1
    assert call.pruned.isdisjoint(ended)
    assert meter.by_backend["small"].samples == 2


@pytest.mark.parametrize("options", [{}, {"max_samples": 4, "width": 4}, {"max_samples": 4, "width": 3}])
async def test_closing_frees_the_servers_work(paced, connect, make_call, options):
    backend = connect(paced.url, extra_allowed=("min_tokens",))
    call = make_call(stream=True, sampling=LONG, query=ENDLESS, **options)
    meter = Meter()
    events = backend.sample(call, meter)
    await anext(events)
    await asyncio.to_thread(paced.until, lambda state: state["running"] == call.width)
    await events.aclose()
    after = await asyncio.to_thread(paced.until, lambda state: state["running"] == 0, 1.0)
    assert (after["running"], after["aborted"]) == (0, call.width)
    assert meter.by_backend["small"].samples == call.width


async def test_a_cancelled_consumer_frees_the_servers_work(paced, connect, make_call, draw):
    backend = connect(paced.url, extra_allowed=("min_tokens",))
    call = make_call(sampling=LONG, query=ENDLESS, max_samples=3, width=2)
    task = asyncio.create_task(draw(backend, call))
    await asyncio.to_thread(paced.until, lambda state: state["running"] == 2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (await asyncio.to_thread(paced.until, lambda state: state["running"] == 0, 1.0))["running"] == 0


async def test_what_a_cut_sample_used_is_booked(paced, connect, make_call):
    backend = connect(paced.url, extra_allowed=("min_tokens",))
    meter, seen = Meter(), 0
    async with aclosing(
        backend.sample(make_call(stream=True, sampling=LONG, query=ENDLESS), meter)
    ) as events:
        async for event in events:
            assert isinstance(event, Delta)
            seen += event.tokens
            if seen == 20:
                break
    usage = meter.by_backend["small"]
    assert usage.tokens_out >= 20
    assert usage.tokens_out <= paced.state()["tokens"]
    assert usage.tokens_in == paced.state()["prompt_tokens"]


async def test_a_url_that_cannot_be_reached_is_passed_over(stub, connect, make_call, draw):
    with StubProcess() as gone:
        dead = gone.url
    drawn = await draw(connect(dead, stub.url), make_call(max_samples=3, width=1))
    assert len(drawn.samples) == 3
    assert drawn.usage.tokens_out == stub.state()["tokens"]


async def test_where_no_url_answers_each_is_named_with_what_is_wrong_there(stub, connect, make_call, draw):
    with StubProcess() as gone:
        dead = gone.url
    stub.fault("503")
    with pytest.raises(BackendUnavailable) as caught:
        await draw(connect(dead, stub.url), make_call())
    said = str(caught.value)
    assert f"{dead}: connection failed: Connection refused; " in said
    assert f"{stub.url}: HTTP 503" in said


async def test_a_server_that_refuses_work_is_passed_over(stub, paced, connect, make_call, draw):
    stub.fault("503")
    assert len((await draw(connect(stub.url, paced.url), make_call())).samples) == 1
    assert (stub.state()["requests"], paced.state()["requests"]) == (1, 1)


async def test_after_the_first_token_no_other_url_is_asked(stub, paced, connect, make_call, draw):
    stub.fault("die_mid_stream")
    with pytest.raises(BackendUnavailable):
        await draw(connect(stub.url, paced.url), make_call())
    assert paced.state()["requests"] == 0


async def test_requests_are_spread_over_the_urls(stub, paced, connect, make_call, draw):
    await draw(connect(stub.url, paced.url), make_call(max_samples=6, width=2))
    assert stub.state()["requests"] >= 1
    assert paced.state()["requests"] >= 1
    assert stub.state()["requests"] + paced.state()["requests"] == 6


def test_the_url_with_least_in_flight_is_picked_and_failed_ones_come_last():
    endpoints = Endpoints.of(["http://a:1/v1", "http://b:1", "http://c:1/"])
    a, b, c = endpoints.members
    assert [one.url for one in (a, b, c)] == ["http://a:1", "http://b:1", "http://c:1"]
    a.in_flight, b.in_flight, c.in_flight = 2, 1, 1
    b.asked, c.asked = 9, 3
    assert endpoints.pick(now=0.0) is c
    c.resting_until = 5.0
    assert endpoints.pick(now=0.0) is b
    assert endpoints.pick(now=6.0) is c
    assert endpoints.pick(now=0.0, tried=["http://b:1", "http://a:1"]) is c
    assert endpoints.pick(now=0.0, tried=["http://a:1", "http://b:1", "http://c:1"]) is None


async def test_tenants_share_no_prefix_cache_where_salted(stub, connect, make_call, draw):
    backend = connect(stub.url, tenant_cache_salt=True)
    text = "one two three four five six seven eight nine ten " * 10
    calls = {name: make_call(text, query={"tenant": name}) for name in ("a", "b")}
    first = (await draw(backend, calls["a"])).samples[0].tokens_cached
    again = (await draw(backend, calls["a"])).samples[0].tokens_cached
    other = (await draw(backend, calls["b"])).samples[0].tokens_cached
    assert first == other == 0
    assert again > 0


async def test_the_prefix_cache_is_booked(stub, connect, make_call, draw):
    backend = connect(stub.url)
    call = make_call("one two three four five six seven eight nine ten " * 10)
    await draw(backend, call)
    drawn = await draw(backend, call)
    assert drawn.usage.tokens_cached == drawn.samples[0].tokens_cached == 96
    assert "cache_salt" not in stub.requests()[0]["body"]

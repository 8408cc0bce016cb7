"""Where nobody follows a sample token by token, several tokens come at a time: the same sample, fewer events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from predictors.observation import Sampling
from router.backends.stub_process import StubProcess
from router.domain.growth import Growth
from router.errors import BackendRefused, BackendTimeout

INTERVAL = 16  # the default
LONG = Sampling(temperature=0.8, max_tokens=5000)
ENDLESS = {"extra": {"min_tokens": 5000}}


def intervals(stub: StubProcess) -> list[int | None]:
    """What each request asked for."""
    return [request["body"].get("stream_interval") for request in stub.requests()]


@pytest.fixture
async def known(stub, connect, make_call, draw):
    """A backend whose server was seen to report usage with every piece."""
    backend = connect(stub.url, extra_allowed=("min_tokens",), logprobs=True)
    await draw(backend, make_call())
    return backend


async def test_a_server_is_asked_once_it_was_seen_to_count_every_piece(stub, known, make_call, draw):
    await draw(known, make_call())
    await draw(known, make_call(max_samples=3, width=3))
    assert intervals(stub) == [None, INTERVAL, INTERVAL]


async def test_a_server_that_counts_at_the_end_alone_sends_token_by_token(stub, connect, make_call, draw):
    stub.fault("no_continuous_usage")
    backend = connect(stub.url)
    for _ in range(3):
        await draw(backend, make_call())
    assert intervals(stub) == [None] * 4  # the first was refused for what it asked of usage


async def test_the_sample_is_the_same(known, connect, stub, make_call, draw):
    call = make_call(logprobs=True)
    several = (await draw(known, call)).samples[0]
    single = connect(stub.url, logprobs=True, stream_interval=1)
    one_by_one = (await draw(single, call)).samples[0]
    assert intervals(stub)[1:] == [INTERVAL, None]
    cached = several.tokens_cached  # the second one finds the prompt in the cache
    timeless = [replace(one, latency_s=0.0, first_token_s=0.0) for one in (several, one_by_one)]
    assert replace(timeless[0], tokens_cached=0) == replace(timeless[1], tokens_cached=0)
    assert cached <= several.tokens_in
    assert several.mean_logprob is not None


async def test_thoughts_and_tool_calls_come_whole(scripted_process, connect, make_call, draw):
    backend = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "open sesame"}, tools=True)
    for text in ("think", "weather", "nothing"):
        first, second = [(await draw(backend, make_call(text))).samples[0] for _ in range(2)]
        assert (first.text, first.reasoning, first.tool_calls) == (
            second.text,
            second.reasoning,
            second.tool_calls,
        )
        assert (first.tokens_out, first.tokens_reasoning) == (second.tokens_out, second.tokens_reasoning)
    assert intervals(scripted_process)[-1] == INTERVAL


async def test_a_followed_sample_comes_token_by_token(stub, known, make_call, draw):
    drawn = await draw(known, make_call(stream=True))
    assert {delta.tokens for delta in drawn.deltas} == {1}
    await draw(
        known, make_call(growth=Growth(), growing=True, query=ENDLESS, sampling=replace(LONG, max_tokens=20))
    )
    # the token that ends a sample has a name and no text: only in a piece of its own can it be left out
    await draw(known, make_call(logprobs=True, query={"token_logprobs": True}))
    assert intervals(stub)[1:] == [None, None, None]


async def test_a_growing_sample_is_shown_at_its_check_points(stub, known, make_call, draw):
    drawn = await draw(known, make_call(growing=True, query=ENDLESS, sampling=replace(LONG, max_tokens=300)))
    seen = [sample.tokens_out for sample in drawn.growing]
    assert intervals(stub)[1:] == [8]
    assert len(seen) == 4
    assert all(64 * place <= tokens < 64 * place + 8 for place, tokens in enumerate(seen, 1))


@pytest.mark.parametrize(("most", "charged"), [(5000, INTERVAL), (5, 5)])
async def test_a_sample_that_is_cut_is_charged_for_all_that_may_have_been_on_its_way(
    stub, connect, make_call, draw, drawn, most, charged
):
    backend = connect(stub.url, extra_allowed=("min_tokens",), timeout_s=1.0)
    await draw(backend, make_call())
    stub.fault("hang_mid_stream")  # it has made two tokens then, and sent the first
    with pytest.raises(BackendTimeout):
        await draw(backend, make_call(query=ENDLESS, sampling=replace(LONG, max_tokens=most)), drawn)
    assert drawn.usage.tokens_out == charged


async def test_a_sample_that_had_not_begun_is_not_charged(stub, connect, make_call, draw, drawn):
    backend = connect(stub.url, first_token_timeout_s=0.5)
    await draw(backend, make_call())
    stub.fault("hang")
    with pytest.raises(BackendTimeout):
        await draw(backend, make_call(), drawn)
    assert drawn.usage.tokens_out == 0


async def test_a_server_that_does_not_know_the_key_is_asked_once(connect, make_call, draw):
    with StubProcess("--refuse", "stream_interval") as old:
        backend = connect(old.url)
        for _ in range(3):
            assert len((await draw(backend, make_call())).samples) == 1
        assert intervals(old) == [None, INTERVAL, None, None]


async def test_a_server_that_took_the_key_is_not_asked_twice_where_it_refuses(stub, known, make_call, draw):
    await draw(known, make_call())
    stub.fault("400")
    with pytest.raises(BackendRefused, match="HTTP 400"):
        await draw(known, make_call())
    assert intervals(stub) == [None, INTERVAL, INTERVAL]


async def test_pieces_without_usage_have_the_tokens_that_their_logprobs_name(connect, make_call, draw):
    with StubProcess("--stream-interval", "4", "--fault", "no_usage") as server:
        drawn = await draw(connect(server.url, logprobs=True), make_call(logprobs=True))
        assert drawn.samples[0].tokens_out == server.state()["tokens"]
        assert drawn.samples[0].usage_estimated

"""Every way in which a server can fail becomes one of our errors, and what it used is booked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from predictors.observation import Sampling
from router.backends.stub_process import StubProcess
from router.backends.vllm import VLLM
from router.config import BackendConfig
from router.domain.usage import Meter
from router.errors import BackendError, BackendGarbled, BackendRefused, BackendTimeout, BackendUnavailable

ENDLESS = {"extra": {"min_tokens": 5000}}
LONG = Sampling(temperature=0.8, max_tokens=5000)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("400", BackendRefused, "HTTP 400: refuse the request"),
        ("422", BackendRefused, "HTTP 422"),
        ("401", BackendUnavailable, "HTTP 401.*api_key_env"),
        ("404", BackendUnavailable, "HTTP 404.*model"),
        ("429", BackendUnavailable, "HTTP 429: too many requests"),
        ("500", BackendUnavailable, "HTTP 500"),
        ("503", BackendUnavailable, "HTTP 503"),
        ("html", BackendGarbled, "HTML page"),
        ("bad_json", BackendGarbled, "broken JSON or UTF-8"),
        ("bad_utf8", BackendGarbled, "broken JSON or UTF-8"),
        ("die_mid_stream", BackendUnavailable, "connection failed"),
        ("end_early", BackendUnavailable, "ended before the sample did"),
        ("error_event", BackendUnavailable, "the engine died"),
    ],
)
async def test_a_fault_becomes_our_error_that_names_backend_and_url(
    stub, connect, make_call, draw, fault, error, says
):
    stub.fault(fault, 3)  # the first 400 may be about the stream options
    with pytest.raises(error, match=says) as raised:
        await draw(connect(stub.url), make_call())
    assert str(raised.value).startswith(f"small at {stub.url}: ")


@pytest.mark.parametrize("fault", ["400", "429", "500"])
async def test_a_refused_request_costs_nothing(stub, connect, make_call, draw, drawn, fault):
    stub.fault(fault, 3)
    with pytest.raises(BackendError):
        await draw(connect(stub.url), make_call(), drawn)
    assert drawn.meter.by_backend == {}


async def test_a_connection_refused_is_unavailable_and_free(connect, make_call, draw, drawn):
    with StubProcess() as gone:
        dead = gone.url
    with pytest.raises(BackendUnavailable, match="connection failed"):
        await draw(connect(dead), make_call(), drawn)
    assert drawn.meter.by_backend == {}


@pytest.mark.parametrize("fault", ["die_mid_stream", "bad_json", "end_early"])
async def test_what_came_before_a_stream_died_is_booked(stub, connect, make_call, draw, drawn, fault):
    stub.fault(fault)
    with pytest.raises(BackendError):
        await draw(connect(stub.url), make_call(), drawn)
    assert drawn.usage.tokens_in == stub.state()["prompt_tokens"]
    assert 1 <= drawn.usage.tokens_out <= stub.state()["tokens"]
    assert drawn.usage.samples == 1


async def test_a_server_that_hangs_is_given_up_and_freed(stub, connect, make_call, draw, drawn):
    stub.fault("hang")
    with pytest.raises(BackendTimeout, match=r"no token within 1\.0 s"):
        await draw(connect(stub.url, first_token_timeout_s=1.0), make_call(), drawn)
    assert (await asyncio.to_thread(stub.until, lambda state: state["running"] == 0))["aborted"] == 1
    assert drawn.usage.tokens_in == 4  # 15 bytes: it may have read the prompt
    assert drawn.usage.tokens_out == 0


async def test_a_server_that_hangs_in_mid_stream_is_given_up(stub, connect, make_call, draw, drawn):
    stub.fault("hang_mid_stream")
    with pytest.raises(BackendTimeout, match=r"no end of the sample within 1\.5 s"):
        await draw(connect(stub.url, timeout_s=1.5), make_call(), drawn)
    assert drawn.usage.tokens_out == 2


async def test_the_callers_time_is_kept(paced, connect, make_call, draw):
    backend = connect(paced.url, extra_allowed=("min_tokens",))
    with pytest.raises(BackendTimeout, match=r"within 1\.0 s"):
        await draw(backend, make_call(sampling=LONG, query=ENDLESS, time_left_s=1.0))
    assert (await asyncio.to_thread(paced.until, lambda state: state["running"] == 0))["aborted"] == 1


@pytest.mark.parametrize(
    ("fault", "own", "resting"),
    [
        ("hang", {"first_token_timeout_s": 0.3}, 1),
        ("hang_mid_stream", {"timeout_s": 0.5}, 1),
        ("hang", {}, 0),
        ("hang_mid_stream", {}, 0),
    ],
)
async def test_a_server_whose_own_time_is_up_rests_whatever_time_the_caller_has(
    stub, connect, make_call, draw, fault, own, resting
):
    stub.fault(fault)
    backend = connect(stub.url, **own)
    with pytest.raises(BackendTimeout):
        await draw(backend, make_call(time_left_s=20.0 if own else 0.3))
    assert backend.urls() == (1 - resting, resting)


async def test_a_server_that_is_silent_for_long_rests_though_its_time_is_longer(
    stub, connect, make_call, draw, monkeypatch
):
    monkeypatch.setattr("router.backends.vllm.HURRY_S", 0.2)
    stub.fault("hang")
    backend = connect(stub.url)
    with pytest.raises(BackendTimeout):
        await draw(backend, make_call(time_left_s=0.3))
    assert backend.urls() == (0, 1)


async def test_a_slow_server_is_waited_for_within_the_limits(stub, connect, make_call, draw):
    stub.fault("slow")  # four seconds to the first token
    with pytest.raises(BackendTimeout, match="no token"):
        await draw(connect(stub.url, first_token_timeout_s=0.3), make_call())


async def test_without_usage_tokens_are_counted_and_the_sample_says_so(stub, connect, make_call, draw):
    stub.fault("no_usage")
    drawn = await draw(connect(stub.url), make_call())
    (sample,) = drawn.samples
    assert sample.usage_estimated
    assert sample.finish_reason == "stop"
    assert sample.tokens_out == drawn.usage.tokens_out == stub.state()["tokens"]
    assert sample.tokens_in == drawn.usage.tokens_in == 4  # 15 bytes / 4


async def test_without_usage_many_in_one_request_are_counted(stub, connect, make_call, draw):
    stub.fault("no_usage")
    drawn = await draw(connect(stub.url), make_call(max_samples=3, width=3))
    assert drawn.usage.tokens_out == stub.state()["tokens"] == sum(one.tokens_out for one in drawn.samples)


@pytest.mark.parametrize(
    ("fault", "refusals", "kept"),
    [
        ("no_continuous_usage", 1, {"include_usage": True}),
        ("no_stream_options", 2, None),
    ],
)
async def test_refused_stream_options_are_left_out_once_and_for_all(
    stub, connect, make_call, draw, fault, refusals, kept
):
    stub.fault(fault, refusals)
    backend = connect(stub.url)
    for _ in range(2):
        assert len((await draw(backend, make_call())).samples) == 1
    bodies = [request["body"] for request in stub.requests()]
    assert [body.get("stream_options") for body in bodies[refusals:]] == [kept, kept]
    assert len(bodies) == refusals + 2


async def test_a_bad_request_does_not_change_what_a_known_server_understands(stub, connect, make_call, draw):
    backend = connect(stub.url)
    await draw(backend, make_call())
    stub.fault("400", 2)  # the first may be about how many tokens come at a time
    with pytest.raises(BackendRefused):
        await draw(backend, make_call())
    assert len((await draw(backend, make_call())).samples) == 1
    bodies = [request["body"]["stream_options"] for request in stub.requests()]
    assert bodies == [{"include_usage": True, "continuous_usage_stats": True}] * 4


async def test_exact_usage_comes_without_continuous_usage(stub, connect, make_call, draw):
    stub.fault("no_continuous_usage")
    drawn = await draw(connect(stub.url), make_call())
    assert drawn.samples[0].tokens_out == drawn.usage.tokens_out == stub.state()["tokens"]
    assert not drawn.samples[0].usage_estimated


@pytest.mark.parametrize("refused", ["", "no_continuous_usage", "no_stream_options"])
async def test_a_runaway_server_is_cut_and_charged(stub, connect, make_call, draw, refused):
    backend = connect(stub.url)
    if refused:
        stub.fault(refused, 2 if refused == "no_stream_options" else 1)
        await draw(backend, make_call())
        stub.reset()
    stub.fault("over_max_tokens")
    drawn = await draw(backend, make_call(sampling=Sampling(temperature=0.8, max_tokens=20)))
    (sample,) = drawn.samples
    assert sample.finish_reason == "length"
    assert 20 < sample.tokens_out == drawn.usage.tokens_out <= 49


async def test_a_server_that_ignores_n_is_asked_for_the_rest_and_never_again_for_many(
    stub, connect, make_call, draw
):
    backend = connect(stub.url)
    stub.fault("one_choice")
    drawn = await draw(backend, make_call(max_samples=3, width=3))
    assert sorted(sample.sample_id for sample in drawn.samples) == ["0.0", "0.1", "0.2"]
    assert len({sample.text for sample in drawn.samples}) > 1
    await draw(backend, make_call(max_samples=2, width=2))
    assert [request["body"]["n"] for request in stub.requests()] == [3, 1, 1, 1, 1]


async def test_a_server_that_refuses_n_is_asked_one_by_one(stub, connect, make_call, draw):
    backend = connect(stub.url)
    await draw(backend, make_call())
    stub.fault("400")
    drawn = await draw(backend, make_call(max_samples=2, width=2))
    assert len(drawn.samples) == 2


@pytest.mark.parametrize("options", [{}, {"max_samples": 3, "width": 3}])
async def test_a_server_that_does_not_stream_is_understood(stub, connect, make_call, draw, options):
    stub.fault("no_stream")
    drawn = await draw(connect(stub.url), make_call(**options))
    assert all("The answer is" in sample.text for sample in drawn.samples)
    assert len(drawn.samples) == options.get("max_samples", 1)
    assert drawn.usage.tokens_out == stub.state()["tokens"]
    assert sum(sample.tokens_out for sample in drawn.samples) == pytest.approx(stub.state()["tokens"], abs=3)


async def test_one_failed_sample_does_not_lose_its_neighbours(stub, connect, make_call, draw, drawn):
    backend = connect(stub.url)
    await draw(backend, make_call())
    stub.fault("die_mid_stream")
    with pytest.raises(BackendUnavailable):
        await draw(backend, make_call(max_samples=8, width=3), drawn)
    assert 2 <= len(drawn.samples) < 8


async def test_a_key_is_sent_and_a_wrong_one_is_told(scripted_process, connect, make_call, draw):
    good = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "open sesame"})
    assert len((await draw(good, make_call("think"))).samples) == 1
    bad = connect(scripted_process.url, api_key_env="KEY", environ={"KEY": "guess"})
    with pytest.raises(BackendUnavailable, match="api_key_env") as raised:
        await draw(bad, make_call("think"))
    assert "guess" not in str(raised.value)


async def test_a_key_that_is_not_set_is_told(connect, make_call, draw):
    with pytest.raises(BackendUnavailable, match="'KEY' \\(api_key_env\\) is not set"):
        await draw(connect("http://127.0.0.1:9", api_key_env="KEY"), make_call())


async def test_a_server_killed_while_it_speaks_is_unavailable(make_call):
    with StubProcess("--pace", "10") as doomed:
        backend = VLLM(
            "small", BackendConfig(urls=(doomed.url,), model="stub", extra_allowed=("min_tokens",))
        )
        meter = Meter()
        call = make_call(stream=True, sampling=LONG, query=ENDLESS)
        async with aclosing(backend.sample(call, meter)) as events:
            await anext(events)
            doomed.kill()
            with pytest.raises(BackendUnavailable):
                async for _ in events:
                    pass
        await backend.close()
    assert meter.by_backend["small"].tokens_out >= 1


async def test_a_text_that_cannot_be_sent_is_refused(connect, make_call, draw):
    with pytest.raises(BackendRefused, match="cannot be written as JSON"):
        await draw(connect("http://127.0.0.1:9"), make_call("half a pair: \ud83d"))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"220 mail.example ESMTP\r\n", "not HTTP"),
        (b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", "HTTP 307"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\r\nhello", "no event"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]", "broken JSON"),
    ],
)
async def test_a_port_that_speaks_another_protocol_is_garbled(connect, make_call, draw, reply, says):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(BackendGarbled, match=says):
            await draw(connect(f"http://127.0.0.1:{port}"), make_call())


async def test_no_server_rests_for_a_key_that_is_missing_here(stub, connect, make_call, draw):
    backend = connect(stub.url, api_key_env="NOT_THERE")
    with pytest.raises(BackendUnavailable, match="NOT_THERE"):
        await draw(backend, make_call())
    assert backend.urls() == (1, 0)

"""A backend with two servers of which one has not begun to answer in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.backends.stub_process import StubProcess
from router.errors import BackendTimeout, BackendUnavailable


@pytest.fixture(scope="module")
def second_process() -> Iterator[StubProcess]:
    with StubProcess() as process:
        yield process


@pytest.fixture
def second(second_process: StubProcess) -> StubProcess:
    second_process.reset()
    return second_process


@pytest.fixture
def third() -> Iterator[StubProcess]:
    with StubProcess() as process:
        yield process


@pytest.mark.parametrize(("samples", "stream"), [(1, True), (1, False), (3, False)])
async def test_the_other_server_answers_and_the_silent_one_is_freed(
    stub, second, connect, make_call, draw, samples, stream
):
    stub.fault("hang")
    backend = connect(stub.url, second.url, hedge_after_s=0.05)
    drawn = await draw(backend, make_call(max_samples=samples, width=samples, stream=stream))
    assert [sample.finished for sample in drawn.samples] == [True] * samples
    assert backend.hedges == 1
    assert stub.until(lambda state: state["running"] == 0)["aborted"] == samples
    assert second.state()["finished"] == samples


async def test_both_requests_are_charged(stub, second, connect, make_call, draw):
    alone = (await draw(connect(second.url), make_call())).usage
    stub.fault("hang")
    drawn = await draw(connect(stub.url, second.url, hedge_after_s=0.05), make_call())
    assert drawn.usage.samples == 2
    assert drawn.usage.tokens_in > alone.tokens_in
    assert drawn.usage.tokens_out == alone.tokens_out


async def test_the_wait_for_the_first_server_is_part_of_the_latency(stub, second, connect, make_call, draw):
    stub.fault("hang")
    drawn = await draw(connect(stub.url, second.url, hedge_after_s=0.2), make_call())
    assert drawn.samples[0].latency_s >= 0.2


async def test_a_server_that_begins_in_time_is_asked_alone(stub, second, connect, make_call, draw):
    backend = connect(stub.url, second.url, hedge_after_s=20.0)
    await draw(backend, make_call())
    assert backend.hedges == 0
    assert stub.state()["requests"] + second.state()["requests"] == 1


async def test_where_both_are_silent_the_call_ends_with_the_error_of_the_first(
    stub, second, connect, make_call, draw
):
    stub.fault("hang")
    second.fault("hang")
    backend = connect(stub.url, second.url, hedge_after_s=0.05, first_token_timeout_s=0.3)
    with pytest.raises(BackendTimeout, match=stub.url):
        await draw(backend, make_call())
    for server in (stub, second):
        assert server.until(lambda state: state["running"] == 0)["aborted"] == 1


async def test_a_server_that_breaks_is_still_followed_by_the_next(stub, second, connect, make_call, draw):
    stub.fault("500")
    drawn = await draw(connect(stub.url, second.url, hedge_after_s=5.0), make_call())
    assert drawn.samples[0].finished


@pytest.mark.parametrize(("samples", "stream"), [(1, True), (3, False)])
async def test_what_the_second_server_began_no_third_one_tells_again(
    stub, second, third, connect, make_call, draw, drawn, samples, stream
):
    stub.fault("hang")
    second.fault("die_mid_stream")
    backend = connect(stub.url, second.url, third.url, hedge_after_s=0.05)
    with pytest.raises(BackendUnavailable, match=second.url):
        await draw(backend, make_call(max_samples=samples, width=samples, stream=stream), drawn)
    assert third.state()["requests"] == 0


async def test_a_server_that_hangs_rests_though_the_other_one_always_answers_first(
    stub, second, connect, make_call, draw
):
    backend = connect(stub.url, second.url, hedge_after_s=0.1, first_token_timeout_s=0.3)
    stub.fault("hang", 20)
    for number in range(20):
        await draw(backend, make_call(query={"session_id": f"s{number}"}))
        if backend.urls() == (1, 1):
            break
    assert backend.urls() == (1, 1)
    assert number >= 2  # one faster answer says nothing
    assert "no token in 0.3 s" in backend.trouble


async def test_a_server_that_begins_now_and_then_does_not_rest(stub, second, connect, make_call, draw):
    backend = connect(stub.url, second.url, hedge_after_s=0.1, first_token_timeout_s=0.3)
    for _ in range(6):
        stub.fault("hang")
        await draw(backend, make_call())
        await draw(backend, make_call())
        await draw(backend, make_call())
    assert backend.urls() == (2, 0)

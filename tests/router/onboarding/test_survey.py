"""What is found out about a server, against real processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.backends.stub_process import StubProcess
from router.errors import BackendGarbled, BackendTimeout, BackendUnavailable
from router.onboarding.findings import Findings
from router.onboarding.speed import GENERATED, SpeedTest


async def test_a_server_that_does_everything_is_found_to(ask, able):
    found = await ask(able.url)
    can, who = found.abilities, found.identity
    assert (who.model, who.context_tokens, who.version, who.vllm) == ("tiny-135M", 4096, "stub", True)
    assert (who.health, who.metrics, who.tokenize) == (True, True, True)
    assert (can.api, can.logprobs, can.top_logprobs, can.several) == ("chat", True, 20, True)
    assert (can.tools, can.tool_called, can.response_format) == (True, True, True)
    assert (can.reasoning, can.hidden_states) == ("reasoning_content", True)
    assert found.notes == ()


async def test_a_server_that_only_completes_is_found_to(ask, plain):
    found = await ask(plain.url)
    can, who = found.abilities, found.identity
    assert (can.logprobs, can.several, can.tools, can.response_format) == (False, False, False, False)
    assert (can.tool_called, can.reasoning, can.hidden_states) == (False, "", False)
    assert set(can.refused or {}) == {"logprobs", "n", "tools", "response_format"}
    assert (found.speed.stream_usage, found.speed.prefix_cache, who.context_tokens) == (False, False, None)


async def test_speeds_are_those_of_the_server(ask):
    """The stub writes a token every 20 ms at pace 1, whatever else it does."""
    with StubProcess("--pace", "1") as paced:
        speed = (await ask(paced.url)).speed
    assert speed.tokens_per_second == pytest.approx(50, rel=0.4)
    assert speed.tokens_per_second_busy is not None
    assert speed.tokens_per_second is not None
    assert speed.tokens_per_second_busy > 1.5 * speed.tokens_per_second


async def test_no_more_requests_run_at_once_than_were_allowed_and_none_is_left(ask):
    with StubProcess("--pace", "1") as paced:
        found = await ask(paced.url)
        state = paced.until(lambda seen: seen["running"] == 0)
    assert state["most_running"] == found.speed.in_flight == 4
    assert state["running"] == 0
    assert state["requests"] <= found.requests <= 25


async def test_a_cache_that_usage_is_silent_about_is_seen_by_the_metrics(ask, able):
    able.reset()
    able.fault("no_usage", 100)
    speed = (await ask(able.url)).speed
    able.reset()
    assert (speed.stream_usage, speed.prefix_cache, speed.prefix_seen_by) == (False, True, "metrics")


async def test_a_thought_inside_of_the_text_is_known_by_its_marker(ask, tmp_path):
    (tmp_path / "thinks.jsonl").write_text('{"text": "<think> Two and three. </think> 5"}\n')
    with StubProcess("--script", str(tmp_path / "thinks.jsonl")) as stub:
        assert (await ask(stub.url)).abilities.reasoning == "<think>"


async def test_a_base_model_is_asked_at_the_completions_door(ask):
    with StubProcess("--refuse", "messages") as stub:
        found = await ask(stub.url)
    can = found.abilities
    assert (can.api, can.logprobs, can.top_logprobs, can.tools) == ("completions", True, 20, False)
    assert found.speed.tokens_per_second


async def test_a_request_that_hangs_is_given_up_and_the_rest_is_measured(ask):
    with StubProcess() as stub:
        stub.fault("no_usage", 1)  # the plain question
        stub.fault("hang", 1)  # log-probabilities
        found = await ask(stub.url, seconds=5.0)
    assert found.abilities.logprobs is None
    assert found.abilities.several is True
    assert [note.partition(":")[0] for note in found.notes] == ["log-probabilities"]


async def test_a_server_that_never_answers_is_given_up(ask):
    expected = pytest.raises(BackendTimeout, match=r"small at .* no reply to POST /v1/chat/completions")
    with StubProcess("--fault", "hang:100") as stub, expected:
        await ask(stub.url, seconds=2.0)


async def test_a_server_that_is_broken_says_so_itself(ask):
    expected = pytest.raises(BackendUnavailable, match="HTTP 500: break before the first token")
    with StubProcess("--fault", "500:100") as stub, expected:
        await ask(stub.url)


async def test_streams_that_die_are_noted_and_do_not_end_the_survey(ask):
    with StubProcess() as stub:
        stub.fault("no_usage", 5)  # the abilities
        stub.fault("die_mid_stream", 1)  # one request alone
        found = await ask(stub.url)
    assert found.speed.tokens_per_second is None
    assert found.speed.tokens_per_second_busy
    assert any(note.startswith("speed of one request: not measured: ") for note in found.notes)


async def test_what_the_server_writes_for_others_meanwhile_is_part_of_its_speed(ask, able, monkeypatch):
    """The counter goes up by 1,000,000 with each reading, as if others were served a million tokens."""
    said: list[int] = []

    async def counter(self: SpeedTest, *names: str) -> float | None:
        said.append(1_000_000 * len(said))
        return float(said[-1]) if names == GENERATED else None

    monkeypatch.setattr(SpeedTest, "_counter", counter)
    found = await ask(able.url)
    assert any("other callers were there; of 1000000 tokens 96 were ours" in note for note in found.notes)
    assert found.speed.tokens_per_second_busy is not None
    assert found.speed.tokens_per_second_busy > 1_000_000 / 20


@pytest.fixture
def odd(ask, pages):
    """`await odd(reply)` surveys a server that gives this reply to everything."""

    async def run(reply: dict[str, Any]) -> Findings:
        models = (200, "application/json", json.dumps({"data": [{"id": "m"}]}))
        said = (200, "application/json", json.dumps(reply))
        found: Findings = await ask(pages({"/v1/models": models, "/v1/chat/completions": said}), seconds=5.0)
        return found

    return run


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": "none"}, {"choices": [3]}], ids=str)
async def test_replies_without_choices_are_refused_in_a_sentence(odd, reply):
    with pytest.raises(BackendGarbled, match="no choices instead of an answer"):
        await odd(reply)


ODD: list[dict[str, Any]] = [
    {"message": "5", "logprobs": [1]},
    {"message": {"content": ["5"]}, "logprobs": {"content": ["x"]}},
    {"text": 5, "logprobs": {"top_logprobs": [3], "token_logprobs": 1}, "finish_reason": 1},
]


@pytest.mark.parametrize("choice", ODD, ids=[str(choice)[:40] for choice in ODD])
async def test_choices_of_odd_shapes_are_read_as_far_as_they_go(odd, choice):
    found = await odd({"choices": [choice], "kv_transfer_params": 3})
    assert (found.abilities.top_logprobs, found.abilities.hidden_states) == (0, False)
    assert found.speed.tokens_per_second is None
    assert any("no event stream where one was asked for" in note for note in found.notes)

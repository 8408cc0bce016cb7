"""The stub server is a process of its own that plays, counts and fails as it is told to."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from router.backends.stub_process import StubProcess
from router.backends.stub_server import main
from router.errors import BackendUnavailable

HELLO = {"model": "stub", "messages": [{"role": "user", "content": "What is 2 + 2?"}], "seed": 1}


def ask(stub: StubProcess, path: str = "/v1/chat/completions", **options: Any) -> Any:
    return stub.ask("POST", path, HELLO | options)


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [msgspec.json.decode(line) for line in lines[:-1]]


def test_the_same_seed_says_the_same(stub):
    assert ask(stub)["choices"] == ask(stub)["choices"]
    assert len({ask(stub, seed=seed)["choices"][0]["message"]["content"] for seed in range(5)}) > 1


def test_most_samples_agree_on_an_answer_and_some_do_not(stub):
    reply = ask(stub, n=50)
    answers = [choice["message"]["content"].rsplit(" ", 1)[1] for choice in reply["choices"]]
    most = max(answers.count(answer) for answer in answers)
    assert 25 < most < 50


def test_choices_of_one_request_are_the_samples_of_consecutive_seeds(stub):
    together = [choice["message"]["content"] for choice in ask(stub, n=3, seed=7)["choices"]]
    assert together == [ask(stub, seed=seed)["choices"][0]["message"]["content"] for seed in (7, 8, 9)]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_stream_says_what_the_whole_reply_says(stub, path):
    asked = {"prompt": "Say"} if path == "/v1/completions" else {}
    body = {key: value for key, value in HELLO.items() if not asked or key != "messages"} | asked
    whole = stub.ask("POST", path, body)
    stream = events(
        stub.ask("POST", path, body | {"stream": True, "stream_options": {"include_usage": True}})
    )
    pieces = [choice for event in stream for choice in event["choices"]]
    streamed = "".join(choice["text"] if asked else choice["delta"].get("content", "") for choice in pieces)
    choice = whole["choices"][0]
    assert streamed == (choice["text"] if asked else choice["message"]["content"])
    assert pieces[-1]["finish_reason"] == choice["finish_reason"] == "stop"
    assert stream[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"] == len(pieces) - 1


def test_usage_is_streamed_only_where_asked_for(stub):
    plain = events(ask(stub, stream=True))
    continuous = events(
        ask(stub, stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
    )
    assert all(event["usage"] is None for event in plain)
    assert [event["usage"]["completion_tokens"] for event in continuous[:3]] == [1, 2, 3]


def test_max_tokens_cuts_with_reason_length(stub):
    reply = ask(stub, max_tokens=3)
    assert reply["usage"]["completion_tokens"] == 3
    assert reply["choices"][0]["finish_reason"] == "length"


def test_a_prompt_seen_before_is_in_the_prefix_cache(stub):
    long = [{"role": "user", "content": "a b c d " * 20}]
    first, second = (
        ask(stub, messages=long)["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)
    )
    assert (first, second) == (0, 80)
    assert 'vllm:prefix_cache_hits_total{model_name="stub"} 80.0' in stub.ask("GET", "/metrics")


def test_counters_are_vllms(stub):
    reply = ask(stub, n=2)
    said = stub.ask("GET", "/metrics")
    assert (
        f'vllm:generation_tokens_total{{model_name="stub"}} {float(reply["usage"]["completion_tokens"])}'
        in said
    )
    assert f'vllm:prompt_tokens_total{{model_name="stub"}} {float(reply["usage"]["prompt_tokens"])}' in said
    assert 'vllm:num_requests_running{model_name="stub"} 0.0' in said
    assert stub.state()["finished"] == stub.state()["most_running"] == 2


def test_tokens_can_be_counted(stub):
    prompt_tokens = ask(stub)["usage"]["prompt_tokens"]
    assert stub.ask("POST", "/tokenize", HELLO)["count"] == prompt_tokens


def test_health_version_and_models_answer(stub):
    assert stub.ask("GET", "/health") == ""
    assert stub.ask("GET", "/version") == {"version": "stub"}
    assert [model["id"] for model in stub.ask("GET", "/v1/models")["data"]] == ["stub"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "other"}, "HTTP 404.*other"),
        ({"n": 0}, "HTTP 400"),
        ({"max_tokens": 0}, "HTTP 400"),
        ({"model": 7}, "HTTP 400"),
    ],
)
def test_a_wrong_request_is_told(stub, options, says):
    with pytest.raises(BackendUnavailable, match=says):
        ask(stub, **options)


def test_a_fault_that_is_none_is_told_with_the_choices(stub):
    with pytest.raises(BackendUnavailable, match=r"unknown fault.*choose from 400, 401"):
        stub.fault("sneeze")


def test_faults_come_as_often_as_planned(stub):
    stub.fault("500", 2)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="HTTP 500"):
            ask(stub)
    assert ask(stub)["choices"]


def test_a_recording_is_played(record):
    queries = [{"query_id": "a", "query": "What is 2 + 2?"}]
    samples = [
        {
            "query_id": "a",
            "backend": "small",
            "sample_idx": index,
            "text": f"number {index}",
            "tokens_out": 4 + index,
        }
        for index in range(3)
    ]
    with StubProcess("--recording", str(record(queries, samples))) as stub:
        assert [model["id"] for model in stub.ask("GET", "/v1/models")["data"]] == ["small", "large"]
        reply = ask(stub, model="small", n=3, seed=0)
        assert [choice["message"]["content"] for choice in reply["choices"]] == [
            "number 0",
            "number 1",
            "number 2",
        ]
        assert reply["usage"]["completion_tokens"] == 4 + 5 + 6
        with pytest.raises(BackendUnavailable, match="HTTP 422"):
            ask(stub, model="small", messages=[{"role": "user", "content": "unheard of"}])
        with pytest.raises(BackendUnavailable, match="HTTP 422"):
            ask(stub, model="large")
        with pytest.raises(BackendUnavailable, match="HTTP 404"):
            ask(stub, model="huge")


def test_a_text_that_is_not_in_the_recording_gets_a_sentence_that_says_so_where_it_may(record):
    queries = [{"query_id": "a", "query": "What is 2 + 2?"}]
    samples = [{"query_id": "a", "backend": "small", "sample_idx": 0, "text": "four", "tokens_out": 1}]
    with StubProcess("--recording", str(record(queries, samples)), "--made-up") as stub:
        assert ask(stub, model="small")["choices"][0]["message"]["content"] == "four"
        unheard = ask(stub, model="small", messages=[{"role": "user", "content": "unheard of"}], n=20)
        said = [choice["message"]["content"] for choice in unheard["choices"]]
        assert all(
            re.fullmatch(r"This text is not in the recording, so this is made up. The answer is \d+\.", text)
            for text in said
        )
        assert 1 < len(set(said)) < 20


def test_a_port_that_is_taken_is_named(stub, capsys):
    port = stub.url.rsplit(":", 1)[1]
    with pytest.raises(SystemExit) as ended:
        main(["--port", port])
    assert ended.value.code == 2
    assert f"--port {port} is taken; choose another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--recording", "/nowhere"), "not a recording"),
        (("--script", "/nowhere"), "No such file"),
        (("--fault", "sneeze"), "unknown fault 'sneeze'"),
        (("--pace", "-1"), "--pace: a number >= 0 is expected, got -1"),
    ],
)
def test_a_wrong_argument_ends_it_with_a_sentence(capsys, arguments, says):
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_process_that_cannot_start_is_told():
    with pytest.raises(BackendUnavailable, match="did not start"), StubProcess("--pace", "-1"):
        pass

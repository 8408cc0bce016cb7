"""The official OpenAI client, our door, a real vLLM: what only a real server can show to be passed on rightly."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from training.vllm_cpu.server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]

CONFIG = """
reference = "one"

[backends.small]
kind = "vllm"
urls = ["{url}"]
model = "{model}"
price_in = 0.05
price_out = 0.1
max_tokens = 48
logprobs = true
tools = true
response_format = true
timeout_s = 600.0
first_token_timeout_s = 300.0

[[plans]]
name = "one"
stages = [{{ backend = "small" }}]

[store]
sqlite = ":memory:"

[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
http_listen = "127.0.0.1:0"

[server.forward]
"/tokenize" = "small"
"""
ASKED: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Place(pydantic.BaseModel):
    capital: str


@pytest.fixture(scope="module")
def client(small: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("door")
    config, log = folder / "router.toml", folder / "log"
    config.write_text(CONFIG.format(url=small.url, model=small.model))
    command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r" http=(\S+)", process.stdout.readline())
            assert found, log.read_text()
            with openai.OpenAI(
                base_url=f"http://{found[1]}/v1", api_key="none", max_retries=0, timeout=600.0
            ) as connected:
                yield connected
        finally:
            process.terminate()


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "auto", "messages": ASKED, **fields})


def test_a_chat_is_answered_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = ask(client, temperature=0, max_completion_tokens=16)
    assert whole.choices[0].message.content
    with ask(client, temperature=0, max_completion_tokens=16, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == whole.choices[0].message.content
    assert whole.usage.prompt_tokens > 10


def test_log_probabilities_are_those_of_the_text(client: openai.OpenAI) -> None:
    choice = ask(client, temperature=0, max_completion_tokens=8, logprobs=True, top_logprobs=3).choices[0]
    tokens = choice.logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode().strip() == choice.message.content.strip()
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)
    assert all(token.logprob == max(other.logprob for other in token.top_logprobs) for token in tokens)


def test_a_schema_is_kept(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model="auto", messages=ASKED, response_format=Place, temperature=0)
    assert isinstance(reply.choices[0].message.parsed, Place)


def test_what_the_server_was_not_started_for_is_told_in_its_words(client: openai.OpenAI) -> None:
    asked: Any = {
        "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "temperature": 0,
    }
    with pytest.raises(openai.BadRequestError, match="tool-call-parser"):
        ask(client, **asked)
    with pytest.raises(openai.APIError, match="tool-call-parser"):
        list(ask(client, **asked, stream=True))


def test_several_answers_and_a_stop_text(client: openai.OpenAI) -> None:
    reply = ask(client, n=2, temperature=1.0, seed=3, stop=["."], max_completion_tokens=24)
    assert len(reply.choices) == 2
    assert all("." not in choice.message.content for choice in reply.choices)


def test_a_prompt_is_completed(client: openai.OpenAI) -> None:
    reply = client.completions.create(
        model="auto", prompt="The capital of France is", max_tokens=8, temperature=0, logprobs=1
    )
    said = reply.choices[0].logprobs
    assert said is not None
    assert said.tokens is not None
    assert len(said.tokens) > 0
    assert reply.usage is not None
    assert reply.usage.completion_tokens <= 8


def test_another_path_of_the_server_answers_through_the_door(client: openai.OpenAI) -> None:
    told: Any = client.post("/../tokenize", cast_to=object, body={"model": "auto", "prompt": "hello there"})
    assert told["count"] >= 2

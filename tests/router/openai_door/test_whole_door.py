"""Everything else that the official client can ask for, each seen at the model server or in the reply."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import openai
import pydantic
import pytest
from openai.lib._tools import pydantic_function_tool

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
STORY = [{"role": "user", "content": "Tell me a story."}]
WEATHER = [{"role": "user", "content": "How is the weather?"}]
TOLD = "Once upon a time there was a fox, and the fox had a very long way to go."


class GetWeather(pydantic.BaseModel):
    """The weather of a city."""

    city: str


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


def create(client: Any, messages: Any, model: str = "small", **fields: Any) -> Any:
    return client.chat.completions.create(model=model, messages=messages, **fields)


def sent(served: Any) -> dict[str, Any]:
    """The last body that the small model's server got."""
    return served.small.requests()[-1]["body"]  # type: ignore[no-any-return]


def test_every_role_arrives_as_it_is(client, served):
    called = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "Be polite."},
        {"role": "user", "content": "What time is it?", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    create(client, messages)
    assert sent(served)["messages"] == messages


def test_the_detail_of_a_picture_arrives(client, served):
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What picture is it?"}, picture]}]
    create(client, messages)
    assert sent(served)["messages"] == messages


def test_seed_and_metadata_and_user(client, served):
    first = create(client, QUESTION, seed=7, temperature=1.0, metadata={"team": "x"}, user="ann")
    again = create(client, QUESTION, seed=7, temperature=1.0)
    assert first.choices[0].message.content == again.choices[0].message.content
    assert "metadata" not in sent(served)


def test_a_stop_text_and_a_limit_arrive(client, served):
    create(client, QUESTION, stop="\n", max_completion_tokens=3)
    assert (sent(served)["stop"], sent(served)["max_tokens"]) == (["\n"], 3)


def test_the_clients_schema_of_a_reply_is_passed_on_and_parsed(client, served):
    asked = [{"role": "user", "content": "The day, as JSON."}]
    reply = client.chat.completions.parse(model="small", messages=asked, response_format=Weather)
    assert reply.choices[0].message.parsed == Weather(city="Paris", degrees=21)
    assert sent(served)["response_format"]["json_schema"]["strict"] is True
    assert sent(served)["response_format"]["json_schema"]["schema"]["required"] == ["city", "degrees"]


def test_a_schema_goes_where_schemas_are_taken(client):
    with pytest.raises(openai.BadRequestError, match="takes no response_format") as caught:
        create(client, QUESTION, "large", response_format={"type": "json_object"})
    assert caught.value.code == "no_plan"


def test_the_clients_own_tools_are_strict_and_parsed(client, served):
    tool = pydantic_function_tool(GetWeather, name="get_weather")
    reply = client.chat.completions.parse(model="small", messages=WEATHER, tools=[tool])
    assert sent(served)["tools"][0]["function"]["strict"] is True
    assert reply.choices[0].message.tool_calls[0].function.parsed_arguments == GetWeather(city="Paris")


def tools() -> list[Any]:
    return [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("get_weather", "get_time")
    ]


def test_one_call_at_a_time(client, served):
    reply = create(client, WEATHER, tools=tools(), parallel_tool_calls=False)
    assert [call.function.name for call in reply.choices[0].message.tool_calls] == ["get_weather"]
    assert sent(served)["parallel_tool_calls"] is False
    with create(client, WEATHER, tools=tools(), parallel_tool_calls=False, stream=True) as stream:
        indices = {call.index for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()}
    assert indices == {0}


def test_tool_calls_come_piece_by_piece_while_they_are_written(client):
    with create(client, WEATHER, tools=tools(), stream=True) as stream:
        pieces = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]
    first = [piece for piece in pieces if piece.index == 0]
    assert (first[0].id, first[0].type, first[0].function.name) == ("call-0", "function", "get_weather")
    assert [piece.id for piece in first[1:]] == [None] * (len(first) - 1)
    assert len(first) > 3
    assert json.loads("".join(piece.function.arguments for piece in first)) == {"city": "Paris"}
    assert [piece.function.name for piece in pieces if piece.id] == ["get_weather", "get_time"]


def test_a_plan_that_commits_at_its_end_streams_its_calls_all_the_same(client):
    with client.chat.completions.stream(model="vote", messages=WEATHER, tools=tools()) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city": "Paris"}'),
        ("get_time", "{}"),
    ]


@pytest.mark.parametrize("wanted", [0, 2])
def test_log_probabilities_come_with_their_alternatives(client, wanted: int):
    choice = create(client, STORY, logprobs=True, top_logprobs=wanted).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == TOLD
    assert all(token.logprob == -0.3 for token in choice.logprobs.content)
    assert bytes(choice.logprobs.content[0].bytes).decode() == choice.logprobs.content[0].token
    assert [len(token.top_logprobs) for token in choice.logprobs.content[:2]] == [wanted, wanted]


@pytest.mark.parametrize("model", ["small", "vote"])
def test_log_probabilities_are_streamed_with_the_text(client, model: str):
    text, tokens = "", ""
    with create(client, STORY, model, logprobs=True, stream=True) as stream:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            entries = chunk.choices[0].logprobs
            tokens += "".join(token.token for token in entries.content) if entries else ""
            assert len(tokens) == len(text)
    assert tokens == text == TOLD


def test_without_asking_there_are_no_log_probabilities(client):
    assert create(client, QUESTION).choices[0].logprobs is None


def test_log_probabilities_come_from_where_they_can(client):
    with pytest.raises(openai.BadRequestError, match="gives no logprobs"):
        create(client, QUESTION, "large", logprobs=True)
    assert create(client, QUESTION, "auto", logprobs=True).model in {"small", "vote"}


def test_reasoning_effort_goes_where_it_is_taken(client, served):
    reply = create(client, QUESTION, "auto", reasoning_effort="low")
    assert reply.model in {"small", "vote"}
    assert sent(served)["reasoning_effort"] == "low"
    with pytest.raises(openai.BadRequestError, match="does not pass 'reasoning_effort' on"):
        create(client, QUESTION, "large", reasoning_effort="low")


def test_what_nobody_takes_is_refused_by_its_name(client):
    for key, value in {"verbosity": "low", "guided_regex": "a+", "web_search_options": {}}.items():
        with pytest.raises(openai.BadRequestError) as caught:
            create(client, QUESTION, extra_body={key: value})
        assert caught.value.param == key


def test_wishes_stand_in_the_models_name(client):
    reply = create(client, QUESTION, "auto:cost=0.3,risk=0.05")
    assert reply.model in {"small", "vote", "cascade", "large"}
    with pytest.raises(openai.BadRequestError, match="is no wish"):
        create(client, QUESTION, "auto:speed=3")


def test_headers_say_what_was_decided(client):
    raw = client.chat.completions.with_raw_response.create(model="vote", messages=QUESTION)
    told = raw.parse().model_extra["router"]
    assert raw.headers["x-apportion-plan"] == "vote"
    assert raw.headers["x-apportion-status"] == told["status"] == "answered"
    assert raw.headers["x-apportion-degraded"] == "no bundle: plans are chosen untrained"
    assert "x-apportion-bundle" not in raw.headers  # there is none
    stream = client.chat.completions.with_raw_response.create(model="small", messages=QUESTION, stream=True)
    assert stream.headers["x-apportion-degraded"] == raw.headers["x-apportion-degraded"]
    assert list(stream.parse())[-1].model_extra["router"]["status"] == "answered"


# ------------------------------------------------------------------------------------------- completions


def test_a_prompt_is_completed(client, served):
    reply = client.completions.create(model="small", prompt="Tell me a story.", max_tokens=40, stop=["END"])
    assert (reply.object, reply.choices[0].text, reply.choices[0].finish_reason) == (
        "text_completion",
        TOLD,
        "stop",
    )
    assert reply.id.startswith("cmpl-")
    assert reply.usage.completion_tokens > 0
    assert reply.model_extra["router"]["plan"] == "small"
    assert sent(served)["messages"] == [{"role": "user", "content": "Tell me a story."}]
    assert (sent(served)["max_tokens"], sent(served)["stop"]) == (40, ["END"])


@pytest.mark.parametrize("model", ["small", "vote"])
def test_a_completion_is_streamed(client, model: str):
    asked = {"model": model, "prompt": "Tell me a story.", "logprobs": 1}
    with client.completions.create(**asked, stream=True, stream_options={"include_usage": True}) as stream:
        *chunks, last = stream
    assert "".join(chunk.choices[0].text for chunk in chunks) == TOLD
    entries = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    tokens = [token for entry in entries for token in entry.tokens]
    assert "".join(tokens) == TOLD
    offsets = [offset for entry in entries for offset in entry.text_offset]
    assert offsets == [len("".join(tokens[:place])) for place in range(len(tokens))]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert (last.choices, last.usage.completion_tokens > 0) == ([], True)


def test_the_log_probabilities_of_a_completion_are_lists_side_by_side(client):
    reply = client.completions.create(model="small", prompt="Tell me a story.", logprobs=2)
    said = reply.choices[0].logprobs
    assert "".join(said.tokens) == TOLD
    assert said.text_offset == [len("".join(said.tokens[:place])) for place in range(len(said.tokens))]
    assert len(said.token_logprobs) == len(said.top_logprobs) == len(said.tokens)
    assert len(said.top_logprobs[0]) == 2


def test_several_completions(client):
    reply = client.completions.create(model="small", prompt="What is 2 + 2?", n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]


# ---------------------------------------------------------------------------------------------- the rest


def test_embeddings_come_from_the_backend_that_is_configured(client, served):
    spent = spent_dollars(served)
    reply = client.embeddings.create(
        model="backend/small", input=["one two", "three"], encoding_format="float"
    )
    assert [len(one.embedding) for one in reply.data] == [8, 8]
    assert served.small.requests()[-1] == {
        "path": "/v1/embeddings",
        "body": {"model": "stub", "input": ["one two", "three"], "encoding_format": "float"},
    }
    # three tokens at .1, rounded up to a micro-dollar
    assert spent_dollars(served) - spent == pytest.approx(1e-6)


def test_an_embedding_that_is_refused_costs_nothing_and_says_why(client, served):
    spent = spent_dollars(served)
    served.small.fault("400")
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="small", input="x", encoding_format="float")
    assert spent_dollars(served) == spent


def spent_dollars(served: Any) -> float:
    return page(served)['apportion_budget_spent{account="all",unit="USD"}']


def page(served: Any) -> dict[str, float]:
    with urllib.request.urlopen(served.metrics_url) as response:
        lines = [line.rpartition(" ") for line in response.read().decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def test_metrics_are_at_their_own_port_and_at_the_door(client, served):
    create(client, QUESTION)
    name = 'apportion_decisions_total{mode="apply",plan="small",status="answered"}'
    assert page(served)[name] >= 1
    at_the_door = served.base_url.removesuffix("/v1") + "/metrics"
    with urllib.request.urlopen(at_the_door) as response:
        assert name in response.read().decode()


def test_a_refusal_is_counted(client, served):
    before = page(served).get('apportion_refused_total{door="openai",reason="INVALID"}', 0)
    with pytest.raises(openai.BadRequestError):
        create(client, QUESTION, temperature=9)
    assert page(served)['apportion_refused_total{door="openai",reason="INVALID"}'] == before + 1


def test_responses_are_not_served_and_chats_are_named(client):
    """With a status that no client library tries again."""
    with pytest.raises(openai.NotFoundError, match=r"ask POST /v1/chat/completions") as caught:
        client.responses.create(model="small", input="hi")
    assert caught.value.code == "unknown_path"

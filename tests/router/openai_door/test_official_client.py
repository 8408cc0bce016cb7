"""The official client changes its base URL, and `apportion serve` answers: sync, async, streaming, tools, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import openai
import pytest

from router.client import AdminClient

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
STORY = [{"role": "user", "content": "Tell me a story."}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]
TOLD = "Once upon a time there was a fox, and the fox had a very long way to go."


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture
async def async_client(served):
    async with served.async_client() as client:
        yield client


def create(client, model: str, messages: Any, **fields: Any) -> Any:
    return client.chat.completions.create(model=model, messages=messages, **fields)


def test_a_query_is_routed_by_a_changed_base_url(client):
    reply = create(client, "auto", QUESTION)
    assert "4" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "small"  # the plan for "nothing was learned"
    assert reply.usage.completion_tokens > 0
    assert reply.model_extra["router"]["cost"] > 0


async def test_the_async_client_gets_the_same(async_client, client):
    asked = {"seed": 1, "temperature": 0.5}
    reply = await create(async_client, "small", QUESTION, **asked)
    assert reply.choices == create(client, "small", QUESTION, **asked).choices


@pytest.mark.parametrize("model", ["small", "vote", "cascade", "auto"])
def test_a_stream_says_what_the_whole_reply_says(client, model: str):
    whole = create(client, model, STORY)
    with create(client, model, STORY, stream=True) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content == TOLD
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_a_stream_ends_with_the_usage_where_it_is_asked_for(client):
    whole = create(client, "small", STORY)
    with create(client, "small", STORY, stream=True, stream_options={"include_usage": True}) as stream:
        *_, last = stream
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens > 0
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens > 0


async def test_the_async_client_streams_word_by_word(async_client):
    stream = await create(async_client, "small", STORY, stream=True)
    pieces = [chunk.choices[0].delta.content async for chunk in stream]
    assert "".join(filter(None, pieces)) == TOLD
    assert len(pieces) > 10


def test_the_clients_own_helper_reads_the_stream(client):
    with client.chat.completions.stream(model="small", messages=STORY) as stream:
        assert stream.get_final_completion().choices[0].message.content == TOLD


def test_n_answers_are_n_choices(client, served):
    reply = create(client, "small", QUESTION, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert all("4" in choice.message.content for choice in reply.choices)
    assert served.small.state()["finished"] == 3


def test_parameters_reach_the_model(client, served):
    create(
        client,
        "small",
        QUESTION,
        temperature=0.3,
        top_p=0.9,
        max_completion_tokens=50,
        stop=["END"],
        logit_bias={"7": -1},
        presence_penalty=0.5,
        frequency_penalty=0.25,
        response_format={"type": "json_object"},
        user="ann",
        extra_body={"top_k": 5},
    )
    sent = served.small.requests()[-1]["body"]
    expected = {
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop": ["END"],
        "logit_bias": {"7": -1.0},
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "response_format": {"type": "json_object"},
        "top_k": 5,
    }
    assert {key: sent.get(key) for key in expected} == expected


def test_a_conversation_reaches_the_model_as_it_was_sent(client, served):
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this picture?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
    ]
    assert create(client, "small", messages).choices[0].message.content == "A cat."
    assert served.small.requests()[-1]["body"]["messages"] == messages


def test_tools_are_called_and_their_results_taken(client, served):
    asked: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    reply = create(client, "small", asked, tools=TOOLS, tool_choice="auto")
    message = reply.choices[0].message
    assert (reply.choices[0].finish_reason, message.content) == ("tool_calls", None)
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris"}
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "2 + 2 degrees"} for call in message.tool_calls
    ]
    create(client, "small", [*asked, message, *results], tools=TOOLS, tool_choice="none")
    sent = served.small.requests()[-1]["body"]
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert (sent["tools"], sent["tool_choice"]) == (TOOLS, "none")


def test_tool_calls_are_streamed(client):
    asked = [{"role": "user", "content": "How is the weather?"}]
    with client.chat.completions.stream(model="small", messages=asked, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city": "Paris"}'),
        ("get_time", "{}"),
    ]


def test_a_query_with_tools_goes_where_tools_are_taken(client):
    with pytest.raises(openai.BadRequestError, match="takes no tools") as caught:
        create(client, "large", QUESTION, tools=TOOLS)
    assert caught.value.code == "no_plan"
    assert create(client, "auto", QUESTION, tools=TOOLS).model in {"small", "vote"}


def test_thoughts_come_where_they_are_asked_for(client):
    asked = [{"role": "user", "content": "Please think."}]
    assert "reasoning_content" not in (create(client, "small", asked).choices[0].message.model_extra or {})
    ours = {"router": {"return_reasoning": True}}
    message = create(client, "small", asked, extra_body=ours).choices[0].message
    assert (message.content, message.model_extra["reasoning_content"]) == ("The answer is 7.", "Let me see.")
    with create(client, "small", asked, extra_body=ours, stream=True) as stream:
        deltas = [chunk.choices[0].delta for chunk in stream]
    thoughts = [(delta.model_extra or {}).get("reasoning_content", "") for delta in deltas]
    assert "".join(thoughts) == "Let me see."


def test_an_unknown_model_is_not_found_and_the_choices_are_named(client):
    with pytest.raises(openai.NotFoundError) as caught:
        create(client, "gpt-4o", QUESTION)
    error = caught.value
    assert (error.param, error.code, error.type) == ("model", "model_not_found", "invalid_request_error")
    assert (
        "choose from auto, auto:cost=0.3, auto:risk=0.05, backend/large, backend/small, cascade, large, small, vote"
        in error.message
    )


def test_a_bad_parameter_is_named(client):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, "auto", QUESTION, temperature=5)
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")
    assert "[0, 2]" in caught.value.message


def test_a_parameter_that_cannot_be_honoured_is_named(client):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, "auto", QUESTION, modalities=["text", "audio"])
    assert caught.value.param == "modalities"


def test_the_models_are_listed(client):
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["auto", "auto:cost=0.3", "auto:risk=0.05"]
    assert names[3:] == ["small", "vote", "cascade", "large", "backend/small", "backend/large"]


async def test_the_decision_is_in_the_log_of_the_same_service(client, served):
    raw = client.chat.completions.with_raw_response.create(model="vote", messages=QUESTION, user="ann")
    reply = raw.parse()
    async with AdminClient(served.admin) as admin:
        row = await admin.decision(raw.headers["x-apportion-decision-id"])
    assert (row.decision.plan, row.metadata) == ("vote", {"user": "ann"})
    assert row.decision_id == reply.model_extra["router"]["decision_id"]
    assert int(raw.headers["x-apportion-cost-micros"]) >= reply.model_extra["router"]["cost"] > 0


@pytest.mark.parametrize("fault", ["hang", "hang_mid_stream"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_frees_the_models_work(async_client, served, fault: str, stream: bool):
    served.small.fault(fault)

    async def ask() -> None:
        reply = await create(async_client, "small", STORY, stream=stream)
        if stream:
            async for _ in reply:
                pass

    asking = asyncio.create_task(ask())
    running = await asyncio.to_thread(served.small.until, lambda state: state["running"] == 1)
    assert running["running"] == 1
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    freed = await asyncio.to_thread(served.small.until, lambda state: state["running"] == 0)
    assert (freed["running"], freed["aborted"]) == (0, 1)


async def test_a_client_that_leaves_a_stream_it_has_begun_to_read_frees_the_models_work(async_client, served):
    served.small.fault("hang_mid_stream")
    stream = await create(async_client, "small", STORY, stream=True)
    while not (await anext(stream)).choices[0].delta.content:
        pass
    await stream.close()
    freed = await asyncio.to_thread(served.small.until, lambda state: state["running"] == 0)
    assert (freed["running"], freed["aborted"]) == (0, 1)

"""A query becomes the request that OpenAI's protocol asks for, and nothing else of it goes out."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from predictors.observation import Message, Part, PartKind, Sampling, Tool, ToolCall
from router.backends.openai_body import MAX_SEED, prompt_tokens_estimate, request_body, seed_of
from router.config import BackendConfig
from router.domain.plan import Prompt
from router.errors import BackendRefused

CHAT = BackendConfig(model="m", extra_allowed=("guided", "n", "stream"))


def sent(call: Any, config: BackendConfig = CHAT) -> dict[str, Any]:
    return dict(msgspec.json.decode(msgspec.json.encode(request_body(call, config))))


def test_turns_go_out_as_they_came(make_call):
    turns = (
        Message("system", (Part(text="Be kind."),)),
        Message("user", (Part(text="Hello"),), name="ann"),
        Message("assistant", tool_calls=(ToolCall("c1", "look", '{"x": 1}'),)),
        Message("tool", (Part(text="42"),), tool_call_id="c1"),
        Message("assistant", (Part(text="It is 42."),), reasoning="looked up"),
        Message("user", (Part(text="Thanks"),)),
    )
    asked = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    assert sent(make_call(query={"messages": turns}))["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
        {"role": "assistant", "content": "It is 42.", "reasoning_content": "looked up"},
        {"role": "user", "content": "Thanks"},
    ]


def test_images_go_out_as_urls_and_bytes_as_data_urls(make_call):
    parts = (
        Part(text="What is this?"),
        Part(PartKind.IMAGE_URL, image_url="http://pictures/cat.png"),
        Part(PartKind.DATA, data=b"\x00\xff", mime="image/png"),
    )
    content = sent(make_call(query={"messages": (Message("user", parts),)}))["messages"][0]["content"]
    assert content == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "http://pictures/cat.png"}},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"\x00\xff").decode()},
        },
    ]


def test_tools_go_out_with_their_schema(make_call):
    tool = Tool("look", "looks up", '{"type": "object"}')
    body = sent(make_call(query={"tools": (tool,), "tool_choice": "look"}))
    described = {"name": "look", "description": "looks up", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": described}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_tool_choice_that_is_a_word_goes_out_as_it_is(make_call, choice):
    assert sent(make_call(query={"tools": (Tool("look"),), "tool_choice": choice}))["tool_choice"] == choice


def test_a_response_format_goes_out_as_json(make_call):
    asked = '{"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}'
    body = sent(make_call(query={"response_format": asked}))
    assert body["response_format"] == msgspec.json.decode(asked)


@pytest.mark.parametrize(
    "query", [{"response_format": "{"}, {"tools": (Tool("look", parameters="type: object"),)}]
)
def test_json_text_that_is_not_json_is_refused(make_call, query):
    with pytest.raises(BackendRefused, match="not JSON"):
        request_body(make_call(query=query), CHAT)


def test_only_parameters_that_are_set_go_out(make_call):
    body = sent(make_call(sampling=Sampling(max_tokens=7)))
    assert set(body) == {"model", "stream", "messages", "max_tokens"}


def test_every_parameter_has_its_name_on_the_wire(make_call):
    sampling = Sampling(
        temperature=0.1,
        top_p=0.2,
        top_k=3,
        min_p=0.4,
        max_tokens=5,
        thinking_tokens=6,
        stop=("x",),
        logit_bias={"7": -8.0},
        presence_penalty=0.9,
        frequency_penalty=1.0,
        repetition_penalty=1.1,
    )
    body = sent(make_call(sampling=sampling))
    assert body == body | {
        "temperature": 0.1,
        "top_p": 0.2,
        "top_k": 3,
        "min_p": 0.4,
        "max_tokens": 5,
        "thinking_token_budget": 6,
        "stop": ["x"],
        "logit_bias": {"7": -8.0},
        "presence_penalty": 0.9,
        "frequency_penalty": 1.0,
        "repetition_penalty": 1.1,
    }


def test_of_extra_only_allowed_keys_go_out(make_call):
    body = sent(make_call(query={"extra": {"guided": {"regex": "a+"}, "priority": 9}}))
    assert body["guided"] == {"regex": "a+"}
    assert "priority" not in body


@pytest.mark.parametrize("key", ["n", "stream", "model", "seed", "max_tokens", "cache_salt", "messages"])
def test_extra_never_replaces_what_the_router_keeps_in_its_hands(make_call, key):
    config = BackendConfig(model="m", extra_allowed=(key,))
    assert sent(make_call(query={"extra": {key: "theirs"}}), config).get(key) != "theirs"


def test_seeds_count_up_and_stay_within_32_bits(make_call):
    assert [seed_of(make_call(seed=5), index) for index in range(3)] == [5, 6, 7]
    assert seed_of(make_call(seed=2**63 - 1), 3) < MAX_SEED


def test_a_template_goes_around_the_last_user_turn_and_first_in_the_system_message(make_call):
    turns = (
        Message("system", (Part(text="Be kind."),)),
        Message("user", (Part(text="one"),)),
        Message("assistant", (Part(text="two"),)),
        Message("user", (Part(PartKind.IMAGE_URL, image_url="u"), Part(text="three"), Part(text="four"))),
    )
    prompt = Prompt("p", system="Be brief.", before="Q: ", after=" A:")
    messages = sent(make_call(query={"messages": turns}, prompt=prompt))["messages"]
    assert messages[0] == {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert messages[1]["content"] == "one"
    assert [part.get("text") for part in messages[3]["content"]] == [None, "Q: three", "four A:"]


def test_a_template_brings_its_own_system_message_where_there_is_none(make_call):
    messages = sent(make_call("hi", prompt=Prompt(system="Be brief.")))["messages"]
    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


def test_a_template_around_an_image_alone_becomes_text_parts(make_call):
    image = Message("user", (Part(PartKind.IMAGE_URL, image_url="u"),))
    messages = sent(make_call(query={"messages": (image,)}, prompt=Prompt(before="See", after="Say")))[
        "messages"
    ]
    assert [part.get("text") for part in messages[0]["content"]] == ["See", None, "Say"]


def test_an_empty_template_changes_nothing(make_call):
    assert sent(make_call("hi"))["messages"] == [{"role": "user", "content": "hi"}]


def test_completions_join_the_turns(make_call):
    config = BackendConfig(model="m", api="completions")
    body = sent(make_call("hi", prompt=Prompt(system="S", before="Q: ")), config)
    assert body["prompt"] == "S\n\nQ: hi"
    assert "messages" not in body


def test_the_estimate_of_a_prompt_counts_bytes(make_call):
    assert prompt_tokens_estimate(make_call("äöü")) == 2  # 6 bytes
    assert prompt_tokens_estimate(make_call("hi", prompt=Prompt(system="1234567"))) == 3  # 9 bytes


def test_a_step_ends_at_its_mark_and_where_the_caller_wants_it_to(make_call):
    call = make_call(sampling=Sampling(max_tokens=9, stop=("###",)), until="\n\n")
    assert sent(call)["stop"] == ["###", "\n\n"]
    assert sent(call)["include_stop_str_in_output"] is True

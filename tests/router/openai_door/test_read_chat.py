"""A request of OpenAI's shape becomes the same query as the wire's; what is wrong is named as its sender wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from predictors.observation import (
    Constraints,
    OnUnavailable,
    Part,
    PartKind,
    Preferences,
    Sampling,
    ToolCall,
)
from router.checks.queries import Known
from router.domain.decision import Keep, Mode
from router.errors import InvalidQuery, UnknownName
from router.openai_door.models import Models
from router.openai_door.read_chat import Chat, read_chat, read_prompt

KNOWN = Known(
    plans=frozenset(("small", "large")),
    backends=frozenset(("s", "l")),
    verifiers=frozenset(("math",)),
    extra=frozenset(("guided_choice", "reasoning_effort")),
    max_prompt_chars=100,
)
MODELS = Models(("small", "large"), ("s",))
HI = {"role": "user", "content": "hi"}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def read(sent: dict[str, Any] | None = None, header: str = "", **fields: Any) -> Chat:
    body = {"model": "auto", "messages": [HI], **fields} if sent is None else sent
    return read_chat(json.dumps(body).encode(), header, MODELS, KNOWN, lambda: "new-id")


def ours(**router: Any) -> dict[str, Any]:
    return {"router": router}


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": function}]}


def test_what_is_not_sent_stays_unset():
    chat = read()
    query = chat.query
    assert (query.request_id, query.tenant, query.answers) == ("new-id", "default", 1)
    assert (query.sampling, query.constraints, query.preferences) == (
        Sampling(),
        Constraints(),
        Preferences(),
    )
    assert (query.tools, query.tool_choice, query.response_format) == ((), "", "")
    assert (query.metadata, query.features, query.extra) == ({}, {}, {})
    assert (chat.options.mode, chat.options.explore, chat.options.keep) == (None, True, None)
    assert (chat.options.stream, chat.options.time_left_s, chat.named) == (False, None, False)


def test_null_is_the_same_as_not_sent():
    names = (
        "stream stream_options tools tool_choice response_format n max_tokens seed max_completion_tokens temperature "
        "top_p stop logit_bias user metadata router logprobs parallel_tool_calls reasoning_effort function_call banana"
    )
    nulls: dict[str, Any] = dict.fromkeys(names.split())
    assert read(**nulls).query == read().query


def test_sampling_parameters_arrive():
    query = read(
        temperature=0,
        top_p=1,
        top_k=5,
        min_p=0.1,
        seed=0,
        max_tokens=7,
        thinking_token_budget=3,
        stop="END",
        logit_bias={"7": -1},
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
        n=3,
    ).query
    assert query.sampling == Sampling(
        0,
        1,
        5,
        0.1,
        0,
        7,
        3,
        ("END",),
        {"7": -1},
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
    )
    assert query.answers == 3


def test_max_completion_tokens_is_max_tokens():
    assert read(max_completion_tokens=9).query.sampling.max_tokens == 9
    assert read(max_completion_tokens=9, max_tokens=9).query.sampling.max_tokens == 9


def test_a_conversation_with_every_role_images_and_tools_goes_through_whole():
    query = read(
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "and polite"}], "name": "dev"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "reasoning_content": "hm",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": ""},
        ],
        **tool(**FUNCTION, description="does f", strict=True),
        tool_choice={"type": "function", "function": {"name": "f"}},
    ).query
    assert [message.role for message in query.messages] == [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
    ]
    assert query.messages[1].name == "dev"
    assert query.messages[2].parts == (
        Part(text="what is this?"),
        Part(PartKind.IMAGE_URL, image_url="https://x/y.png", detail="high"),
    )
    assert query.messages[3].tool_calls == (ToolCall("1", "f", "{"),)
    assert query.messages[3].reasoning == "hm"
    assert query.messages[4].tool_call_id == "1"
    assert (query.tools[0].description, json.loads(query.tools[0].parameters)) == (
        "does f",
        {"type": "object"},
    )
    assert query.tool_choice == "f"


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_the_words_of_tool_choice_arrive(choice: str):
    assert read(**tool(**FUNCTION), tool_choice=choice).query.tool_choice == choice


def test_a_response_format_arrives_as_json_and_text_needs_none():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert json.loads(read(response_format=schema).query.response_format) == schema
    assert read(response_format={"type": "text"}).query.response_format == ""


def test_what_does_not_change_the_answer_is_ignored():
    ignored: dict[str, Any] = {
        "store": True,
        "service_tier": "flex",
        "safety_identifier": "a",
        "prompt_cache_key": "b",
    }
    assert (
        read(**ignored, logprobs=False, parallel_tool_calls=True, modalities=["text"]).query == read().query
    )


def test_the_user_becomes_metadata():
    assert read(user="ann", metadata={"team": "x"}).query.metadata == {"user": "ann", "team": "x"}


def test_a_key_that_a_backend_takes_is_passed_on():
    assert read(reasoning_effort="low", guided_choice=["a"]).query.extra == {
        "reasoning_effort": "low",
        "guided_choice": ["a"],
    }


def test_everything_that_is_ours_arrives():
    chat = read(
        router={
            "constraints": {
                "max_cost_micros": 0,
                "max_ttft_s": 1.5,
                "min_quality": 0.5,
                "max_risk": 0.1,
                "allowed_backends": ["s"],
                "denied_backends": ["l"],
                "on_unavailable": "fail",
            },
            "plan": "small",
            "preferences": {"cost_weight": 2, "latency_weight": 0},
            "mode": "observe",
            "explore": "forbid",
            "log": "hash",
            "request_id": "r",
            "session_id": "se",
            "tenant": "acme",
            "task_hint": "math",
            "verifier": "math",
            "features": {"length": 3},
            "priority": 5,
            "timeout_s": 2.5,
            "return_samples": True,
            "return_reasoning": True,
            "return_probabilities": True,
        }
    )
    query, options = chat.query, chat.options
    assert query.constraints == Constraints(0, 1.5, 0.5, 0.1, ("s",), ("l",), "small", OnUnavailable.FAIL)
    assert query.preferences == Preferences(2, 0)
    assert (query.request_id, query.session_id, query.tenant) == ("r", "se", "acme")
    assert (query.task_hint, query.verifier, query.features, query.priority) == (
        "math",
        "math",
        {"length": 3},
        5,
    )
    assert (options.mode, options.explore, options.keep) == (Mode.OBSERVE, False, Keep.HASH)
    assert (options.time_left_s, chat.named) == (2.5, True)
    assert (chat.return_samples, chat.return_reasoning, chat.return_probabilities) == (True, True, True)


def test_a_request_is_named_by_its_body_or_else_by_its_headers():
    assert read(header="h").query.request_id == "h"
    assert read(header="h").named
    assert read(header="h", **ours(request_id="b")).query.request_id == "b"


def test_auto_leaves_the_choice_to_the_policy():
    assert read(model="auto").query.constraints == Constraints()


def test_a_plan_may_be_chosen_as_the_model():
    assert read(model="large").query.constraints.plan == "large"
    assert read(model="large", **ours(plan="large")).query.constraints.plan == "large"


def test_two_different_plans_are_one_too_many():
    with pytest.raises(InvalidQuery, match=r"^model: 'large' is a plan, but router.plan is 'small'"):
        read(model="large", **ours(plan="small"))


def test_a_backend_may_be_chosen_as_the_model():
    assert read(model="backend/s").query.constraints.allowed_backends == ("s",)
    with pytest.raises(InvalidQuery, match="allowed_backends"):
        read(model="backend/s", **ours(constraints={"allowed_backends": ["l"]}))


def test_an_assistant_that_refused_said_so():
    refused = {"role": "assistant", "content": "", "refusal": "there is no answer"}
    assert read(messages=[HI, refused, HI]).query.messages[1].text == "there is no answer"


def test_auto_takes_wishes():
    chat = read(model="auto:cost=0.3,risk=0.05").query
    assert (chat.preferences, chat.constraints) == (Preferences(cost_weight=0.3), Constraints(max_risk=0.05))
    chat = read(model="auto:quality=0.9,latency=2").query
    assert (chat.preferences, chat.constraints) == (
        Preferences(latency_weight=2.0),
        Constraints(min_quality=0.9),
    )
    assert (
        read(model="auto:risk=0.1", **ours(constraints={"max_risk": 0.1})).query.constraints.max_risk == 0.1
    )


def test_log_probabilities_are_asked_for_with_their_alternatives():
    chat = read(logprobs=True, top_logprobs=3)
    assert (chat.query.token_logprobs, chat.query.sampling.logprobs, chat.alternatives) == (True, 3, 3)
    assert (read(logprobs=True).query.sampling.logprobs, read().query.sampling.logprobs) == (0, None)


def test_no_alternatives_may_be_asked_for_without_log_probabilities():
    assert read(logprobs=False, top_logprobs=0).query.token_logprobs is False


def test_where_a_tool_may_be_cached_elsewhere_says_nothing():
    tool = {"type": "function", "function": {"name": "now"}}
    cached = read(tools=[{**tool, "cache_control": {"type": "ephemeral"}}])
    assert cached.query.tools == read(tools=[tool]).query.tools


def test_one_call_at_a_time_may_be_asked_for():
    assert read(parallel_tool_calls=False).query.parallel_tool_calls is False
    assert read(parallel_tool_calls=True).query.parallel_tool_calls is None


def prompt(**fields: Any) -> Chat:
    return read_prompt(json.dumps({"model": "auto", **fields}).encode(), "", MODELS, KNOWN, lambda: "new-id")


@pytest.mark.parametrize("sent", ["Say hi", ["Say hi"]])
def test_a_prompt_is_one_user_turn(sent: str | list[str]):
    chat = prompt(prompt=sent, max_tokens=5, logprobs=2, user="ann")
    assert [(turn.role, turn.text) for turn in chat.query.messages] == [("user", "Say hi")]
    assert (chat.text, chat.alternatives, chat.query.sampling.max_tokens) == (True, 2, 5)
    assert chat.query.metadata == {"user": "ann"}


@pytest.mark.parametrize(
    ("param", "fields", "piece"),
    [
        ("prompt", {"prompt": ["a", "b"]}, "one per request"),
        ("prompt", {"prompt": " "}, "not blank"),
        ("prompt", {"prompt": [1, 2]}, "`str`"),
        ("logprobs", {"prompt": "a", "logprobs": 30}, "[0, 20]"),
        ("echo", {"prompt": "a", "echo": True}, "false"),
        ("suffix", {"prompt": "a", "suffix": "z"}, "suffix"),
        ("best_of", {"prompt": "a", "best_of": 3}, "1"),
        ("messages", {"prompt": "a", "messages": []}, "is not supported here"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_named(param: str, fields: dict[str, Any], piece: str):
    with pytest.raises(InvalidQuery) as caught:
        prompt(**fields)
    assert (caught.value.field.split("[")[0], piece in str(caught.value)) == (param, True), caught.value


@pytest.mark.parametrize("model", ["gpt-4o", "", "backend/l", "backend/", "auto/"])
def test_an_unknown_model_is_named_with_the_choices(model: str):
    with pytest.raises(
        UnknownName, match=r"choose from auto, auto:cost=0.3, auto:risk=0.05, backend/s, large, small"
    ):
        read(model=model)


def test_what_an_assistant_refused_to_answer_is_its_turn_whole_or_in_parts():
    parts = [{"type": "refusal", "refusal": "I cannot help with that."}]
    for said in ({"content": parts}, {"content": None, "refusal": "I cannot help with that."}):
        query = read(messages=[{"role": "user", "content": "hi"}, {"role": "assistant", **said}]).query
        assert query.messages[1].parts == (Part(text="I cannot help with that."),)

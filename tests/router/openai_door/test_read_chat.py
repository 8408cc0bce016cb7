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
from router.domain.decision import Keep, Mode
from router.errors import InvalidQuery, UnknownName
from router.openai_door.models import Models
from router.openai_door.read_chat import Chat, read_chat
from router.query_checks import Known

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


def turns(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*messages]}


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": function}]}


BAD: list[tuple[str, dict[str, Any], str]] = [
    # param, what differs from a good request, a piece of the message
    ("messages", turns(), "at least one message"),
    ("messages[0].role", turns({"role": "robot", "content": "hi"}), "developer"),
    ("messages[0].role", turns({"role": "function", "content": "hi"}), "tool"),
    ("messages[0].content", turns({"role": "user", "content": " "}), "nothing in them"),
    ("messages[0].content", turns({"role": "user"}), "nothing in them"),
    ("messages[0].content", turns({"role": "user", "content": 5}), "got `int`"),
    (
        "messages[0].content[0].type",
        turns({"role": "user", "content": [{"type": "file"}]}),
        "image_url, text",
    ),
    ("messages[0].content[0].text", turns({"role": "user", "content": [{"type": "text"}]}), "is missing"),
    (
        "messages[0].content[0].image_url",
        turns({"role": "user", "content": [{"type": "image_url"}]}),
        "data URL",
    ),
    (
        "messages[0].content[0].image_url.url",
        turns({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}),
        "http(s) or data URL",
    ),
    (
        "messages[0].content[0].input_audio",
        turns({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}),
        "image_url, text, type",
    ),
    ("messages[1].colour", turns(HI, {**HI, "colour": "red"}), "tool_call_id"),
    ("messages[0].function_call", turns({**HI, "function_call": {"name": "f"}}), "null"),
    ("messages[0].tool_call_id", turns({"role": "tool", "content": "4"}), "the id of the call"),
    (
        "messages[0].tool_calls",
        turns({**HI, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}),
        "assistant",
    ),
    (
        "messages[0].tool_calls[0].function.name",
        turns({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": ""}}]}),
        "the name of the tool",
    ),
    (
        "messages[0].tool_calls[0].type",
        turns({"role": "assistant", "tool_calls": [{"type": "custom", "function": {"name": "f"}}]}),
        "function",
    ),
    ("messages[0].reasoning_content", turns({**HI, "reasoning_content": "hm"}), "only in role assistant"),
    ("messages", turns({"role": "user", "content": "x" * 101}), "101 characters"),
    ("model", {"model": 5}, "got `int`"),
    ("temperature", {"temperature": 2.1}, "[0, 2]"),
    ("temperature", {"temperature": "hot"}, "got `str`"),
    ("temperature", {"temperature": True}, "got `bool`"),
    ("top_p", {"top_p": 0}, "(0, 1]"),
    ("n", {"n": 0}, "[1, 16]"),
    ("n", {"n": 17}, "[1, 16]"),
    ("n", {"n": 1.5}, "got `float`"),
    ("max_tokens", {"max_tokens": 0}, "at least 1"),
    ("max_tokens", {"max_tokens": 2**31}, "2147483647"),
    ("max_completion_tokens", {"max_completion_tokens": 0}, "at least 1"),
    ("max_completion_tokens", {"max_completion_tokens": 5, "max_tokens": 6}, "max_tokens is 6"),
    ("seed", {"seed": 2**63}, "9223372036854775807"),
    ("stop", {"stop": ["x"] * 17}, "at most 16"),
    ("stop", {"stop": ""}, "one character or more"),
    ("logit_bias", {"logit_bias": {"cat": 1}}, "a decimal number"),
    ("logit_bias[7]", {"logit_bias": {"7": 101}}, "[-100, 100]"),
    ("presence_penalty", {"presence_penalty": -2.5}, "[-2, 2]"),
    ("frequency_penalty", {"frequency_penalty": 2.5}, "[-2, 2]"),
    ("repetition_penalty", {"repetition_penalty": 0}, "above 0"),
    ("top_k", {"top_k": 0}, "at least 1"),
    ("min_p", {"min_p": 2}, "[0, 1]"),
    ("thinking_token_budget", {"thinking_token_budget": -1}, "at least 0"),
    ("tools[0].function.name", tool(name="a b"), "[a-zA-Z0-9_-]{1,64}"),
    (
        "tools[1].function.name",
        {"tools": [{"function": FUNCTION}, {"function": FUNCTION}]},
        "every name once",
    ),
    ("tools[0].function.strict", tool(name="f", strict=True), "false"),
    ("tools[0].function.parameters", tool(name="f", parameters=[]), "got `array`"),
    ("tools[0].function", {"tools": [{"type": "function"}]}, "is missing"),
    ("tools[0].type", {"tools": [{"type": "custom"}]}, "function"),
    ("tools[0].custom", {"tools": [{"type": "custom", "custom": {}}]}, "function, type"),
    ("tool_choice", {"tool_choice": "g"}, "auto, none, required"),
    ("tool_choice", {"tool_choice": {"function": {"name": "g"}}, **tool(**FUNCTION)}, "f, none"),
    ("tool_choice", {"tool_choice": "required"}, "`tools` is empty"),
    ("tool_choice.type", {"tool_choice": {"type": "allowed_tools"}}, "function"),
    ("tool_choice.function", {"tool_choice": {"type": "function"}}, "is missing"),
    ("tool_choice.function.name", {"tool_choice": {"function": {"name": "auto"}}}, "another name"),
    ("response_format", {"response_format": {}}, "has no `type`"),
    ("response_format", {"response_format": "json"}, "got `str`"),
    ("metadata['k']", {"metadata": {"k": "x" * 1024}}, "1024 bytes"),
    ("metadata", {"metadata": {"": "x"}}, "one character or more"),
    ("stream", {"stream": "yes"}, "got `str`"),
    ("stream_options", {"stream_options": {"include_usage": True}}, "only with stream: true"),
    ("stream_options.loud", {"stream": True, "stream_options": {"loud": True}}, "include_usage"),
    ("logprobs", {"logprobs": True}, "allowed: false"),
    ("top_logprobs", {"logprobs": False, "top_logprobs": 3}, "allowed: 0"),
    ("parallel_tool_calls", {"parallel_tool_calls": False}, "allowed: true"),
    ("modalities", {"modalities": ["text", "audio"]}, "['text']"),
    ("verbosity", {"verbosity": "low"}, "no backend passes it on"),
    ("functions", {"functions": [FUNCTION]}, "no backend passes it on"),
    ("banana", {"banana": 1}, "temperature"),
    ("router", {"router": "small"}, "got `str`"),
    ("router.speed", ours(speed=1), "constraints"),
    ("router.plan", ours(plan="small", constraints={"plan": "large"}), "one of both"),
    ("router.constraints.plan", ours(plan="huge"), "large, small"),
    ("router.constraints.fast", ours(constraints={"fast": True}), "max_ttft_s"),
    ("router.constraints.max_cost_micros", ours(constraints={"max_cost_micros": -1}), "at least 0"),
    ("router.constraints.max_ttft_s", ours(constraints={"max_ttft_s": 0}), "above 0 s"),
    ("router.constraints.min_quality", ours(constraints={"min_quality": 1.1}), "[0, 1]"),
    ("router.constraints.max_risk", ours(constraints={"max_risk": -1}), "[0, 1]"),
    ("router.constraints.allowed_backends[0]", ours(constraints={"allowed_backends": ["x"]}), "l, s"),
    ("router.constraints.denied_backends[1]", ours(constraints={"denied_backends": ["l", "x"]}), "l, s"),
    ("router.constraints.on_unavailable", ours(constraints={"on_unavailable": "cry"}), "degrade, fail"),
    ("router.preferences.cost_weight", ours(preferences={"cost_weight": -1}), "at least 0"),
    ("router.preferences.taste", ours(preferences={"taste": 1}), "latency_weight"),
    ("router.mode", ours(mode="clever"), "apply, bypass, observe"),
    ("router.explore", ours(explore="maybe"), "allow, forbid"),
    ("router.log", ours(log="all"), "full, hash, off"),
    ("router.request_id", ours(request_id="x" * 129), "at most 128 bytes"),
    ("router.session_id", ours(session_id="ü" * 65), "130 bytes"),
    ("router.tenant", ours(tenant="x" * 129), "at most 128 bytes"),
    ("router.task_hint", ours(task_hint="x" * 129), "at most 128 bytes"),
    ("router.verifier", ours(verifier="gold"), "math"),
    ("router.features", ours(features={"": 1.0}), "one character or more"),
    ("router.priority", ours(priority=101), "[-100, 100]"),
    ("router.timeout_s", ours(timeout_s=0), "above 0 s"),
]


@pytest.mark.parametrize(
    ("param", "bad", "piece"), BAD, ids=[f"{entry[0]}-{index}" for index, entry in enumerate(BAD)]
)
def test_what_is_wrong_is_refused_by_its_name_with_what_is_allowed(
    param: str, bad: dict[str, Any], piece: str
):
    with pytest.raises(InvalidQuery) as caught:
        read(**bad)
    assert (caught.value.field, piece in str(caught.value)) == (param, True), str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"\xff",
        b'{"model": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1e999}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes):
    with pytest.raises(InvalidQuery) as caught:
        read_chat(body, "", MODELS, KNOWN, lambda: "new-id")
    assert caught.value.field == "body"


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_must_be_there_is_named(missing: str):
    with pytest.raises(InvalidQuery, match=missing):
        read({key: value for key, value in {"model": "auto", "messages": [HI]}.items() if key != missing})


def test_a_megabyte_of_nonsense_is_not_repeated_in_the_message():
    for bad in ({"x" * 1_000_000: 1}, ours(**{"x" * 1_000_000: 1}), ours(mode="x" * 1_000_000)):
        with pytest.raises(InvalidQuery) as caught:
            read(**bad)
        assert len(str(caught.value)) < 1000


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
    nulls = [
        "stream", "stream_options", "tools", "tool_choice", "response_format", "n", "max_tokens", "seed",
        "max_completion_tokens", "temperature", "top_p", "stop", "logit_bias", "user", "metadata", "router",
        "logprobs", "parallel_tool_calls", "reasoning_effort", "function_call", "banana",
    ]  # fmt: skip
    assert read(**dict.fromkeys(nulls)).query == read().query


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
        **tool(**FUNCTION, description="does f", strict=False),
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
        Part(PartKind.IMAGE_URL, image_url="https://x/y.png"),
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
    ignored = {"store": True, "service_tier": "flex", "safety_identifier": "a", "prompt_cache_key": "b"}
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


@pytest.mark.parametrize("model", ["gpt-4o", "", "backend/l", "backend/", "auto:cost=0.3"])
def test_an_unknown_model_is_named_with_the_choices(model: str):
    with pytest.raises(UnknownName, match="choose from auto, backend/s, large, small"):
        read(model=model)

"""What is wrong with a request is refused, and named as its sender wrote it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from router.checks.queries import Known
from router.errors import InvalidQuery, RouterError
from router.openai_door.models import Models
from router.openai_door.read_chat import read_chat

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


def read(sent: dict[str, Any] | None = None, header: str = "", **fields: Any) -> Any:
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
        "image_url, refusal",
    ),
    ("messages[0].content[0].text", turns({"role": "user", "content": [{"type": "text"}]}), "is missing"),
    (
        "messages[0].content[0].refusal",
        turns({"role": "assistant", "content": [{"type": "refusal", "text": "no"}]}),
        "is missing",
    ),
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
        "image_url, refusal, text, type",
    ),
    ("messages[1].colour", turns(HI, {**HI, "colour": "red"}), "tool_call_id"),
    ("messges", {"messges": []}, "no backend passes it on (did you mean 'messages'?)"),
    ("router.constraint", ours(constraint={}), "is not known here (did you mean 'constraints'?)"),
    (
        "router.constraints.plan",
        ours(constraints={"plan": "smal"}),
        "unknown plan 'smal' (did you mean 'small'?)",
    ),
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
    ("top_logprobs", {"logprobs": False, "top_logprobs": 3}, "only with logprobs: true"),
    ("top_logprobs", {"logprobs": True, "top_logprobs": 21}, "[0, 20]"),
    ("model", {"model": "auto:cost"}, "auto:cost=0.3"),
    ("model", {"model": "auto:risk=2"}, "[0, 1]"),
    ("model", {"model": "auto:fame=2"}, "cost, latency, risk, quality"),
    ("model", {"model": "auto:cost=1,cost=2"}, "each once"),
    ("model", {"model": "auto:risk=0.1", **ours(constraints={"max_risk": 0.2})}, "one of both"),
    ("model", {"model": "auto:cost=3", **ours(preferences={"cost_weight": 2})}, "one of both"),
    ("modalities", {"modalities": ["text", "audio"]}, "['text']"),
    ("verbosity", {"verbosity": "low"}, "no backend passes it on"),
    ("verbosity", {"verbosity": "low"}, "extra_allowed"),
    ("functions", {"functions": [FUNCTION]}, "allowed: tools"),
    ("function_call", {"function_call": "auto"}, "allowed: tool_choice"),
    ("extra_body", {"extra_body": {"top_k": 1}}, "allowed: what it holds"),
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


GOOD: dict[str, Any] = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "4"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_object"},
    "n": 2,
    "max_tokens": 5,
    "temperature": 1,
    "seed": 1,
    "stop": ["a"],
    "logit_bias": {"1": 1},
    "user": "x",
    "metadata": {"a": "b"},
    "stream": True,
    "stream_options": {"include_usage": True},
    "guided_choice": 1,
    "logprobs": False,
    "router": {
        "constraints": {"max_cost_micros": 5, "max_ttft_s": 1, "allowed_backends": ["s"]},
        "preferences": {"cost_weight": 1},
        "features": {"a": 1},
        "priority": 1,
        "timeout_s": 3,
        "mode": "apply",
    },
}
DEEP: Any = json.loads('{"a":' * 400 + "1" + "}" * 400)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**19,
    10**400,
    "",
    "x",
    "\u0000",
    "a" * 200,
    [],
    {},
    [None],
    {"": ""},
    DEEP,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside of a value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def refusal_of(sent: dict[str, Any]) -> str:
    """What is said against it; nothing where it is read."""
    try:
        read(sent)
    except RouterError as error:
        return str(error)
    return ""


def test_the_request_that_is_to_be_damaged_is_good():
    assert refusal_of(GOOD) == ""


@pytest.mark.parametrize("path", list(places(GOOD)), ids=lambda path: ".".join(map(str, path)))
def test_a_damaged_request_is_read_or_refused_never_more(path: tuple[Any, ...]):
    *outer, last = path
    for strange in STRANGE:
        replaced, added = copy.deepcopy(GOOD), copy.deepcopy(GOOD)
        inside(replaced, outer)[last] = strange
        holder = inside(added, outer)
        if isinstance(holder, dict):
            holder["another"] = strange
        else:
            holder.append(strange)
        assert len(refusal_of(replaced)) < 2000
        assert len(refusal_of(added)) < 2000


def inside(value: Any, path: list[Any]) -> Any:
    """The object or list at a place."""
    for key in path:
        value = value[key]
    return value

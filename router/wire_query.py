"""A `GenerateRequest` as a `Query` and `Options`: every range that the wire states is checked here, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from predictors.observation import Constraints, Preferences, Query, Sampling, Tool
from router.domain.decision import Keep, Mode
from router.domain.options import Options
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire import DEFAULT_TENANT, EXPLORES, KEEPS, MODES, ON_UNAVAILABLE
from router.wire_checks import (
    SHARE,
    Range,
    at_most,
    choices,
    enum,
    json_object,
    matching,
    one_of,
    seconds,
    short_text,
    shown,
)
from router.wire_messages import messages

MAX_TOOLS, MAX_STOPS, MAX_FEATURES, MAX_METADATA = 128, 16, 64, 64
MAX_METADATA_BYTES = 1024
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TOOL_CHOICES = frozenset(("", "auto", "none", "required"))
TOKEN_ID = re.compile(r"[0-9]{1,10}")
NUMBERS = {
    "temperature": Range(0, 2),
    "top_p": Range(0, 1, above=True),
    "top_k": Range(1),
    "min_p": SHARE,
    "max_tokens": Range(1),
    "thinking_tokens": Range(0),
    "presence_penalty": Range(-2, 2),
    "frequency_penalty": Range(-2, 2),
    "repetition_penalty": Range(0, above=True),
    "logprobs": Range(0, 20),
}
BIAS, WEIGHT, FINITE = Range(-100, 100), Range(0), Range()
MICROS, ANSWERS, PRIORITY = Range(0), Range(1, 16), Range(-100, 100)
MODE_OR_CONFIGURED: dict[pb.Mode.ValueType, Mode | None] = {pb.MODE_UNSPECIFIED: None, **MODES}
KEEP_OR_CONFIGURED: dict[pb.Log.ValueType, Keep | None] = {pb.LOG_UNSPECIFIED: None, **KEEPS}
NO_SAMPLING, NO_CONSTRAINTS, NO_PREFERENCES = Sampling(), Constraints(), Preferences()


@dataclass(frozen=True, slots=True)
class Known:
    """What this service has, as far as a caller may name it; and how long a prompt may be."""

    plans: frozenset[str]
    backends: frozenset[str]
    verifiers: frozenset[str] = frozenset()  # that judge by the query alone
    extra: frozenset[str] = frozenset()  # keys of `extra` that some backend passes on
    max_prompt_chars: int = 4_000_000


def read_query(request: pb.GenerateRequest, known: Known, new_id: Callable[[], str]) -> Query:
    """The request, checked; `new_id` names it where the caller did not. Raises `InvalidQuery`."""
    PRIORITY.check("priority", request.priority)
    if request.HasField("answers"):
        ANSWERS.check("answers", request.answers)
    if request.verifier:
        one_of("verifier", "verifier", request.verifier, known.verifiers)
    tools = _tools(request)
    return Query(
        request_id=short_text("request_id", request.request_id) or new_id(),
        messages=messages(request.messages, known.max_prompt_chars),
        tenant=short_text("tenant", request.tenant) or DEFAULT_TENANT,
        session_id=short_text("session_id", request.session_id),
        tools=tools,
        tool_choice=_tool_choice(request.tool_choice, tools),
        response_format=_response_format(request.response_format),
        sampling=_sampling(request.sampling) if request.HasField("sampling") else NO_SAMPLING,
        answers=request.answers if request.HasField("answers") else 1,
        task_hint=short_text("task_hint", request.task_hint),
        verifier=request.verifier,
        constraints=_constraints(request.constraints, known)
        if request.HasField("constraints")
        else NO_CONSTRAINTS,
        preferences=_preferences(request.preferences) if request.HasField("preferences") else NO_PREFERENCES,
        features=_features(request.features),
        priority=request.priority,
        metadata=_metadata(request.metadata),
        extra=_extra(request.extra, known) if request.extra else {},
    )


def read_options(request: pb.GenerateRequest, *, stream: bool, time_left_s: float | None) -> Options:
    """How the query is to be handled. Raises `InvalidQuery`."""
    return Options(
        mode=enum("mode", request.mode, MODE_OR_CONFIGURED, pb.Mode.Name),
        explore=enum("explore", request.explore, EXPLORES, pb.Explore.Name),
        keep=enum("log", request.log, KEEP_OR_CONFIGURED, pb.Log.Name),
        stream=stream,
        tell=stream and request.return_samples,
        time_left_s=time_left_s,
    )


def _tools(request: pb.GenerateRequest) -> tuple[Tool, ...]:
    at_most("tools", len(request.tools), MAX_TOOLS)
    seen: set[str] = set()
    for index, tool in enumerate(request.tools):
        matching(f"tools[{index}].name", tool.name, TOOL_NAME)
        if tool.name in seen:
            raise InvalidQuery(f"tools[{index}].name", f"{tool.name} is there twice", "every name once")
        seen.add(tool.name)
        if tool.parameters:
            json_object(f"tools[{index}].parameters", tool.parameters)
    return tuple(Tool(tool.name, tool.description, tool.parameters) for tool in request.tools)


def _tool_choice(choice: str, tools: tuple[Tool, ...]) -> str:
    if choice not in TOOL_CHOICES and choice not in {tool.name for tool in tools}:
        allowed = choices((*(TOOL_CHOICES - {""}), *(tool.name for tool in tools)))
        raise InvalidQuery("tool_choice", f"no tool is called {shown(choice)}", allowed)
    if choice == "required" and not tools:
        raise InvalidQuery("tool_choice", "a call is required, but `tools` is empty", '"", auto, none')
    return choice


def _response_format(text: str) -> str:
    if text and not isinstance(json_object("response_format", text).get("type"), str):
        raise InvalidQuery(
            "response_format", "has no `type`", 'a JSON object such as {"type": "json_object"}'
        )
    return text


def _sampling(sent: pb.Sampling) -> Sampling:
    values: dict[str, Any] = {}
    for field, value in sent.ListFields():
        if bound := NUMBERS.get(field.name):
            bound.check(f"sampling.{field.name}", value)
            values[field.name] = value
    at_most("sampling.stop", len(sent.stop), MAX_STOPS)
    if not all(sent.stop):
        raise InvalidQuery("sampling.stop", "an entry is empty", "texts of one character or more")
    for token, bias in sent.logit_bias.items():
        if not TOKEN_ID.fullmatch(token):
            raise InvalidQuery(
                "sampling.logit_bias", f"{shown(token)} is no token id", "a decimal number as text"
            )
        BIAS.check(f"sampling.logit_bias[{token}]", bias)
    return Sampling(
        seed=sent.seed if sent.HasField("seed") else None,
        stop=tuple(sent.stop),
        logit_bias=dict(sent.logit_bias),
        **values,
    )


def _constraints(sent: pb.Constraints, known: Known) -> Constraints:
    if sent.HasField("max_cost"):
        MICROS.check("constraints.max_cost", sent.max_cost)
    for name in ("min_quality", "max_risk"):
        if sent.HasField(name):
            SHARE.check(f"constraints.{name}", getattr(sent, name))
    for name, backends in (
        ("allowed_backends", sent.allowed_backends),
        ("denied_backends", sent.denied_backends),
    ):
        for index, backend in enumerate(backends):
            one_of(f"constraints.{name}[{index}]", "backend", backend, known.backends)
    if sent.plan:
        one_of("constraints.plan", "plan", sent.plan, known.plans)
    return Constraints(
        max_cost_micros=sent.max_cost if sent.HasField("max_cost") else None,
        max_ttft_s=seconds("constraints.max_ttft", sent.max_ttft) if sent.HasField("max_ttft") else None,
        min_quality=sent.min_quality if sent.HasField("min_quality") else None,
        max_risk=sent.max_risk if sent.HasField("max_risk") else None,
        allowed_backends=tuple(sent.allowed_backends),
        denied_backends=tuple(sent.denied_backends),
        plan=sent.plan,
        on_unavailable=enum(
            "constraints.on_unavailable", sent.on_unavailable, ON_UNAVAILABLE, pb.OnUnavailable.Name
        ),
    )


def _preferences(sent: pb.Preferences) -> Preferences:
    values: dict[str, float] = {}
    for field, value in sent.ListFields():
        WEIGHT.check(f"preferences.{field.name}", value)
        values[field.name] = value
    return Preferences(**values)


def _features(sent: Mapping[str, float]) -> Mapping[str, float]:
    at_most("features", len(sent), MAX_FEATURES)
    for name, value in sent.items():
        if not name:
            raise InvalidQuery("features", "a name is empty", "names of one character or more")
        short_text("features", name)
        FINITE.check(f"features[{name}]", value)
    return dict(sent)


def _metadata(sent: Mapping[str, str]) -> Mapping[str, str]:
    at_most("metadata", len(sent), MAX_METADATA)
    for name, value in sent.items():
        if not name:
            raise InvalidQuery("metadata", "a key is empty", "keys of one character or more")
        if len(name.encode()) + len(value.encode()) > MAX_METADATA_BYTES:
            raise InvalidQuery(
                f"metadata[{shown(name)}]", "too long", f"{MAX_METADATA_BYTES} bytes, key and value"
            )
    return dict(sent)


def _extra(text: str, known: Known) -> Mapping[str, Any]:
    extra = json_object("extra", text)
    for key in extra:
        if key not in known.extra:
            raise InvalidQuery(
                "extra", f"no backend passes {shown(key)} on", choices(known.extra) or "nothing"
            )
    return extra

"""The ranges that every query keeps, whatever door it came through. Fields are named as on the wire (`proto/`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predictors.observation import Constraints, Preferences, Query, Sampling, Tool
from router.checks.fields import (
    SHARE,
    Range,
    at_most,
    choices,
    json_object,
    matching,
    one_of,
    seconds_above_zero,
    short_text,
    shown,
)
from router.checks.messages import check_messages
from router.errors import InvalidQuery

DEFAULT_TENANT = "default"  # of callers who name none
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
# to be shared by doors
NO_SAMPLING, NO_CONSTRAINTS, NO_PREFERENCES = Sampling(), Constraints(), Preferences()
BIAS, WEIGHT, FINITE = Range(-100, 100), Range(0), Range()
MICROS, ANSWERS, PRIORITY = Range(0), Range(1, 16), Range(-100, 100)


@dataclass(frozen=True, slots=True)
class Known:
    """What this service has, as far as a caller may name it; and how long a prompt may be."""

    plans: frozenset[str]
    backends: frozenset[str]
    verifiers: frozenset[str] = frozenset()  # that judge by the query alone
    extra: frozenset[str] = frozenset()  # keys of `extra` that some backend passes on
    max_prompt_chars: int = 4_000_000


def check_query(query: Query, known: Known) -> Query:
    """`query`, all of it within its ranges; what it names is known. Raises `InvalidQuery`."""
    PRIORITY.check("priority", query.priority)
    ANSWERS.check("answers", query.answers)
    if query.verifier:
        one_of("verifier", "verifier", query.verifier, known.verifiers)
    short_text("request_id", query.request_id)
    short_text("tenant", query.tenant)
    short_text("session_id", query.session_id)
    short_text("task_hint", query.task_hint)
    check_messages(query.messages, known.max_prompt_chars)
    _check_tools(query.tools)
    _check_tool_choice(query.tool_choice, query.tools)
    _check_response_format(query.response_format)
    if query.sampling is not NO_SAMPLING:  # what nobody set is within its ranges
        _check_sampling(query.sampling)
    if query.constraints is not NO_CONSTRAINTS:
        _check_constraints(query.constraints, known)
    if query.preferences is not NO_PREFERENCES:
        _check_preferences(query.preferences)
    if query.features:
        _check_features(query.features)
    if query.metadata:
        _check_metadata(query.metadata)
    if query.extra:
        _check_extra(query.extra, known)
    return query


def _check_tools(tools: tuple[Tool, ...]) -> None:
    at_most("tools", len(tools), MAX_TOOLS)
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        matching(f"tools[{index}].name", tool.name, TOOL_NAME)
        if tool.name in seen:
            raise InvalidQuery(f"tools[{index}].name", f"{tool.name} is there twice", "every name once")
        seen.add(tool.name)
        if tool.parameters:
            json_object(f"tools[{index}].parameters", tool.parameters)


def _check_tool_choice(choice: str, tools: tuple[Tool, ...]) -> None:
    if not choice:
        return
    if choice not in TOOL_CHOICES and choice not in {tool.name for tool in tools}:
        allowed = choices((*(TOOL_CHOICES - {""}), *(tool.name for tool in tools)))
        raise InvalidQuery("tool_choice", f"no tool is called {shown(choice)}", allowed)
    if choice == "required" and not tools:
        raise InvalidQuery("tool_choice", "a call is required, but `tools` is empty", '"", auto, none')


def _check_response_format(text: str) -> None:
    if text and not isinstance(json_object("response_format", text).get("type"), str):
        raise InvalidQuery(
            "response_format", "has no `type`", 'a JSON object such as {"type": "json_object"}'
        )


def _check_sampling(sampling: Sampling) -> None:
    for name, bound in NUMBERS.items():
        value = getattr(sampling, name)
        if value is not None:
            bound.check(f"sampling.{name}", value)
    at_most("sampling.stop", len(sampling.stop), MAX_STOPS)
    if not all(sampling.stop):
        raise InvalidQuery("sampling.stop", "an entry is empty", "texts of one character or more")
    for token, bias in sampling.logit_bias.items():
        if not TOKEN_ID.fullmatch(token):
            raise InvalidQuery(
                "sampling.logit_bias", f"{shown(token)} is no token id", "a decimal number as text"
            )
        BIAS.check(f"sampling.logit_bias[{token}]", bias)


def _check_constraints(wants: Constraints, known: Known) -> None:
    if wants.max_cost_micros is not None:
        MICROS.check("constraints.max_cost", wants.max_cost_micros)
    if wants.max_ttft_s is not None:
        seconds_above_zero("constraints.max_ttft", wants.max_ttft_s)
    if wants.min_quality is not None:
        SHARE.check("constraints.min_quality", wants.min_quality)
    if wants.max_risk is not None:
        SHARE.check("constraints.max_risk", wants.max_risk)
    for index, backend in enumerate(wants.allowed_backends):
        one_of(f"constraints.allowed_backends[{index}]", "backend", backend, known.backends)
    for index, backend in enumerate(wants.denied_backends):
        one_of(f"constraints.denied_backends[{index}]", "backend", backend, known.backends)
    if wants.plan:
        one_of("constraints.plan", "plan", wants.plan, known.plans)


def _check_preferences(preferences: Preferences) -> None:
    WEIGHT.check("preferences.cost_weight", preferences.cost_weight)
    WEIGHT.check("preferences.latency_weight", preferences.latency_weight)


def _check_features(features: Mapping[str, float]) -> None:
    at_most("features", len(features), MAX_FEATURES)
    for name, value in features.items():
        if not name:
            raise InvalidQuery("features", "a name is empty", "names of one character or more")
        short_text("features", name)
        FINITE.check(f"features[{name}]", value)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    at_most("metadata", len(metadata), MAX_METADATA)
    for name, value in metadata.items():
        if not name:
            raise InvalidQuery("metadata", "a key is empty", "keys of one character or more")
        if len(name.encode()) + len(value.encode()) > MAX_METADATA_BYTES:
            raise InvalidQuery(
                f"metadata[{shown(name)}]", "too long", f"{MAX_METADATA_BYTES} bytes, key and value"
            )


def _check_extra(extra: Mapping[str, Any], known: Known) -> None:
    for key in extra:
        if key not in known.extra:
            raise InvalidQuery(
                "extra", f"no backend passes {shown(key)} on", choices(known.extra) or "nothing"
            )

"""The door as an OpenAPI document, from the types that it reads and writes and the ranges that it checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from router.checks.fields import Range
from router.checks.messages import ROLES
from router.checks.outcomes import METRIC, WEIGHT
from router.checks.queries import ANSWERS, BIAS, MAX_STOPS, MAX_TOOLS, NUMBERS, PRIORITY
from router.openai_door.chunks import Chunk
from router.openai_door.errors import STATUSES
from router.openai_door.feedback import TEXTS
from router.openai_door.headers import (
    BUNDLE_HEADER,
    COST_HEADER,
    DECISION_ID_HEADER,
    DEGRADED_HEADER,
    NAME_OF_A_REQUEST,
    PLAN_HEADER,
    REQUEST_ID_HEADER,
    STATUS_HEADER,
)
from router.openai_door.keys import AS_IT_IS, IGNORED
from router.openai_door.models import RANGES as WISHED
from router.openai_door.models import WISHES
from router.openai_door.reply import Completion
from router.openai_door.request_types import ChatAsked, CompletionAsked, FeedbackAsked
from router.openai_door.text_reply import TextCompletion

Json = dict[str, Any]
PATH = "/openapi.json"
COMPONENTS = "#/components/schemas/{name}"
REFUSED_BY_HTTP = (405, 413, 415)  # method, size, type of the body
WISH = f"^{WISHES}({'|'.join(WISHED)})=[0-9]+([.][0-9]+)?$"
SHARE = Range(0, 1)
ABOVE_0 = Range(0, above=True)
# Schema -> property -> its range.
RANGES: Mapping[str, Mapping[str, Range]] = {
    "ChatAsked": {
        **{name: bound for name, bound in NUMBERS.items() if name not in {"thinking_tokens", "logprobs"}},
        "max_completion_tokens": NUMBERS["max_tokens"],
        "thinking_token_budget": NUMBERS["thinking_tokens"],
        "top_logprobs": NUMBERS["logprobs"],
        "n": ANSWERS,
    },
    "CompletionAsked": {
        **{name: bound for name, bound in NUMBERS.items() if name != "thinking_tokens"},
        "n": ANSWERS,
    },
    "ConstraintsAsked": {
        "max_cost_micros": Range(0),
        "max_ttft_s": ABOVE_0,
        "min_quality": SHARE,
        "max_risk": SHARE,
    },
    "PreferencesAsked": {"cost_weight": Range(0), "latency_weight": Range(0)},
    "RouterAsked": {"priority": PRIORITY, "timeout_s": ABOVE_0},
    "FeedbackAsked": {"weight": WEIGHT, "observed_at": Range(0, 253_402_300_799)},
}
# Schema -> property -> the words that it may be.
WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "TurnAsked": {"role": ROLES},
    "PartAsked": {"type": ("text", "image_url")},
    "ImageAsked": {"detail": ("low", "high", "auto")},
    "CallAsked": {"type": ("function",)},
    "ToolAsked": {"type": ("function",)},
    "ToolForced": {"type": ("function",)},
    "ConstraintsAsked": {"on_unavailable": ("degrade", "fail")},
    "RouterAsked": {
        "mode": ("bypass", "observe", "apply"),
        "explore": ("allow", "forbid"),
        "log": ("off", "hash", "full"),
    },
    "FeedbackAsked": {"kind": ("number", "bool", *TEXTS)},
}


def document(
    models: Sequence[str],
    version: str,
    *,
    extra: Collection[str] = (),
    forwarded: Collection[str] = (),
    metrics: bool = False,
) -> Json:
    """OpenAPI 3.1. `models`: what `model` may be, besides wishes; `extra`: keys that some backend passes on;
    `forwarded`: paths that are sent on; `metrics`: they are shown here.
    """
    kinds = (ChatAsked, CompletionAsked, FeedbackAsked, Completion, TextCompletion, Chunk)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=COMPONENTS)
    for name, bounds in RANGES.items():
        for field, bound in bounds.items():
            _narrow(schemas[name]["properties"], field, _bounds(bound))
    for name, lists in WORDS.items():
        for field, words in lists.items():
            _narrow(schemas[name]["properties"], field, {"enum": list(words)})
    _narrow(schemas["FeedbackAsked"]["properties"], "metric", {"pattern": f"^{METRIC.pattern}$"})
    for name in ("ChatAsked", "CompletionAsked"):
        properties, schemas[name]["additionalProperties"] = schemas[name]["properties"], False
        properties["model"] = {"anyOf": [{"enum": list(models)}, {"type": "string", "pattern": WISH}]}
        for key in sorted((*IGNORED, *extra)):
            properties.setdefault(key, {})
        for key, value in AS_IT_IS.items():
            properties.setdefault(key, {"enum": [value, None]})
    schemas["ChatAsked"]["properties"]["messages"]["minItems"] = 1
    _narrow(schemas["ChatAsked"]["properties"], "tools", {"maxItems": MAX_TOOLS})
    for name in ("ChatAsked", "CompletionAsked"):
        properties = schemas[name]["properties"]
        _of_kind(properties["stop"], "array")["maxItems"] = MAX_STOPS
        bias = _of_kind(properties["logit_bias"], "object")
        bias["propertyNames"] = {"pattern": "^[0-9]{1,10}$"}
        bias["additionalProperties"] |= _bounds(BIAS)
    schemas["Error"] = _error_schema()
    schemas["Model"] = _object(id="string", object="string", created="integer", owned_by="string")
    schemas["Models"] = {
        "type": "object",
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}},
        "required": ["object", "data"],
    }
    schemas["Committed"] = _object(object="string", key="string", duplicate="boolean")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Apportion",
            "version": version,
            "description": "Spend compute where it pays: OpenAI's protocol in front of plans over several models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(forwarded, metrics=metrics),
        "components": {"schemas": schemas},
    }


def _paths(forwarded: Collection[str], *, metrics: bool) -> Json:
    paths: Json = {
        "/v1/chat/completions": {
            "post": _asks("chat", "ChatAsked", "Completion", "Chunk", "A chat, whole or as a stream")
        },
        "/v1/completions": {
            "post": _asks(
                "complete", "CompletionAsked", "TextCompletion", "TextCompletion", "A prompt without turns"
            )
        },
        "/v1/feedback": {
            "post": {
                "operationId": "feedback",
                "summary": "How an answer turned out; 200 means committed",
                "requestBody": _body("FeedbackAsked"),
                "responses": _answers({"200": _replies("Committed")}),
            }
        },
        "/v1/models": {
            "get": {
                "operationId": "models",
                "summary": "What `model` may be",
                "responses": _answers({"200": _replies("Models")}),
            }
        },
        "/v1/models/{name}": {
            "get": {
                "operationId": "model",
                "summary": "One of them",
                "parameters": [
                    {
                        "name": "name",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "minLength": 1},
                    }
                ],
                "responses": _answers({"200": _replies("Model")}),
            }
        },
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "200 while it serves, 503 while it drains",
                "responses": _answers({"200": _json(_object(status="string"))}),
            }
        },
    }
    if metrics:
        text = {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
        paths["/metrics"] = {"get": {"operationId": "metrics", "responses": _answers({"200": text})}}
    for path in forwarded:
        paths[path] = {"post": {"summary": "Sent on to a model server", "responses": {"default": _json({})}}}
    return paths


def _asks(name: str, asked: str, told: str, streamed: str, summary: str) -> Json:
    whole = _replies(told)
    whole["content"]["text/event-stream"] = {"schema": _events(streamed)}
    headers = (REQUEST_ID_HEADER, DECISION_ID_HEADER, PLAN_HEADER)
    sometimes = (STATUS_HEADER, COST_HEADER, BUNDLE_HEADER, DEGRADED_HEADER)
    whole["headers"] = {
        header: {"schema": {"type": "string"}, "required": header in headers}
        for header in (*headers, *sometimes)
    }
    named = {
        "name": NAME_OF_A_REQUEST,
        "in": "header",
        "schema": {"type": "string", "pattern": "^[ -~]{0,128}$"},
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [named],
        "requestBody": _body(asked),
        "responses": _answers({"200": whole}),
    }


def _events(name: str) -> Json:
    """Server-sent events: each an object as JSON, but the last."""
    one = {"type": "string", "contentMediaType": "application/json", "contentSchema": _ref(name)}
    data = {"anyOf": [{"const": "[DONE]"}, one]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _answers(well: Json) -> Json:
    """With every status that a refusal may have."""
    codes = sorted({status for _, status, _, _ in STATUSES} | set(REFUSED_BY_HTTP))
    return well | {str(code): _replies("Error") for code in codes}


def _body(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}


def _replies(name: str) -> Json:
    return _json(_ref(name))


def _json(schema: Json) -> Json:
    return {"description": "JSON", "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": COMPONENTS.format(name=name)}


def _object(**fields: str) -> Json:
    properties = {name: {"type": kind} for name, kind in fields.items()}
    return {"type": "object", "properties": properties, "required": list(fields)}


def _error_schema() -> Json:
    text: Json = {"type": "string"}
    maybe: Json = {"type": ["string", "null"]}
    fields: Json = {"message": text, "type": text, "param": maybe, "code": maybe}
    error = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _bounds(bound: Range) -> Json:
    lowest = {"exclusiveMinimum" if bound.above else "minimum": bound.low}
    found = lowest if bound.low > float("-inf") else {}
    return found | ({"maximum": bound.high} if bound.high < float("inf") else {})


def _narrow(properties: Json, field: str, more: Json) -> None:
    """Say more about a property, where it may be null about the other half."""
    schema = properties[field]
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") != "null":
            choice.update(more)


def _of_kind(schema: Json, kind: str) -> Json:
    return next(choice for choice in schema["anyOf"] if choice.get("type") == kind)

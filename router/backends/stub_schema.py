"""What the stub server says where a response format is asked for: the smallest JSON that follows the schema.

A text that is a JSON object already, as of a script, is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from router.backends.stub_texts import Reply, Token, words

DEEPEST = 16  # levels of a schema, which may refer to itself
PLAIN: Mapping[str, Any] = {"integer": 0, "number": 0, "boolean": False}


def in_format(reply: Reply, response_format: Mapping[str, Any] | None) -> Reply:
    """The reply as a server gives it that keeps to the format; its thought stays, and what calls a tool."""
    kind = (response_format or {}).get("type")
    if kind not in ("json_object", "json_schema") or any(
        token.kind.startswith("tool") for token in reply.tokens
    ):
        return reply
    try:
        if isinstance(
            json.loads("".join(token.text for token in reply.tokens if token.kind == "text")), dict
        ):
            return reply
    except ValueError:
        pass
    schema = ((response_format or {}).get("json_schema") or {}).get("schema") or {"type": "object"}
    said = words(json.dumps(instance(schema, schema)))
    thought = tuple(token for token in reply.tokens if token.kind == "thought")
    return replace(
        reply, tokens=thought + tuple(Token("text", piece) for piece in said), finish_reason="stop"
    )


def instance(schema: Any, root: Any, depth: int = 0) -> Any:
    """The smallest value: what is required of objects, the first of choices, bounds of numbers and lengths.

    >>> instance({"type": "object", "properties": {"sum": {"type": "integer"}}}, {})
    {'sum': 0}
    """
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if isinstance(place := schema.get("$ref"), str):
        return instance(_found(root, place), root, depth + 1)
    for choices in ("enum", "anyOf", "oneOf"):
        if found := schema.get(choices):
            return found[0] if choices == "enum" else instance(found[0], root, depth + 1)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties") or {}
        names: Iterable[str] = schema.get("required", properties)
        return {name: instance(properties.get(name), root, depth + 1) for name in names}
    if kind == "array":
        return [instance(schema.get("items"), root, depth + 1)] * int(schema.get("minItems", 0))
    if kind == "string":
        return "x" * int(schema.get("minLength", 0))
    return schema.get("minimum", PLAIN.get(kind))


def _found(root: Any, place: str) -> Any:
    for name in place.removeprefix("#").strip("/").split("/"):
        root = root.get(name) if isinstance(root, dict) and name else root
    return root

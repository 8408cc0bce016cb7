"""The body of a request as a typed record; what is wrong is named as the caller wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from router.checks.fields import SHOWN_CHARS, choices, meant
from router.errors import InvalidQuery
from router.openai_door import request_types as shapes
from router.openai_door.whole_body import whole_body

Shape = TypeVar("Shape", bound=msgspec.Struct)

_WHERE = re.compile(r"(?P<problem>.*?)(?: - at (?:key in )?`\$\.?(?P<field>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
# The last name of a place, and what may stand there.
_SHAPES: Mapping[str, type[msgspec.Struct]] = {
    "messages": shapes.TurnAsked,
    "content": shapes.PartAsked,
    "image_url": shapes.ImageAsked,
    "tool_calls": shapes.CallAsked,
    "tools": shapes.ToolAsked,
    "tool_choice": shapes.ToolForced,
    "stream_options": shapes.StreamOptions,
    "router": shapes.RouterAsked,
    "constraints": shapes.ConstraintsAsked,
    "preferences": shapes.PreferencesAsked,
}


async def json_body(request: web.Request) -> bytes:
    """The body's bytes. Raises `HTTPUnsupportedMediaType` for what is not JSON: no web page may send that unasked."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    return await whole_body(request)


class _Ours(msgspec.Struct):
    priority: int = 0


class _Hurry(msgspec.Struct):
    router: _Ours | None = None


def is_urgent(body: bytes) -> bool:
    """Whether a query's priority is above 0; read only where places are scarce."""
    try:
        ours = msgspec.json.decode(body, type=_Hurry).router
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return ours is not None and ours.priority > 0


def json_object(body: bytes) -> dict[str, Any]:
    """The body's object. Raises `InvalidQuery`."""
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidQuery("body", f"not JSON: {str(error)[:SHOWN_CHARS]}", "a JSON object") from error
    if not isinstance(sent, dict):
        raise InvalidQuery("body", f"JSON, but a {type(sent).__name__}", "a JSON object")
    return sent


def typed(sent: Mapping[str, Any], shape: type[Shape]) -> Shape:
    """The object as `shape`. Raises `InvalidQuery` that names the place and what may stand there."""
    try:
        return msgspec.convert(sent, shape)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        field, problem = (found["field"] or "", found["problem"]) if found else ("", str(error))
        if missing := _MISSING.fullmatch(problem):
            raise InvalidQuery(f"{field}.{missing[1]}".removeprefix("."), "is missing") from error
        unknown = _UNKNOWN.fullmatch(problem)
        if unknown is None:
            raise InvalidQuery(field or "body", problem) from error
        place = re.split(r"[.\[]", re.sub(r"\[[^\]]*\]$", "", field))[-1]
        here = shape if not field else _SHAPES.get(place)
        names = here.__struct_fields__ if here else ()
        named = f"{field}.{unknown[1][:SHOWN_CHARS]}".removeprefix(".")
        raise InvalidQuery(
            named, f"is not known here{meant(unknown[1], names)}", choices(names) if here else ""
        ) from error

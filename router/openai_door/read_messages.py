"""The messages, tools and tool choice of a request, in our words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from predictors.observation import Message, Part, PartKind, Tool, ToolCall
from router.checks.fields import one_of
from router.checks.queries import TOOL_CHOICES
from router.errors import InvalidQuery
from router.openai_door.request_types import CallAsked, PartAsked, ToolAsked, ToolForced, TurnAsked

FUNCTION = ("function",)


def read_messages(sent: Sequence[TurnAsked]) -> tuple[Message, ...]:
    """All turns. Raises `InvalidQuery` for what our words do not have."""
    return tuple(_message(f"messages[{index}]", turn) for index, turn in enumerate(sent))


def read_tools(sent: Sequence[ToolAsked]) -> tuple[Tool, ...]:
    """The functions. Raises `InvalidQuery` for other tools."""
    return tuple(_tool(f"tools[{index}]", tool) for index, tool in enumerate(sent))


def read_tool_choice(sent: str | ToolForced | None) -> str:
    """The words "", auto, none, required, or the name of the function that must be called."""
    if sent is None or isinstance(sent, str):
        return sent or ""
    one_of("tool_choice.type", "type of tool", sent.type, FUNCTION)
    if sent.function is None:
        raise InvalidQuery(
            "tool_choice.function", "is missing", '{"name": "the function that must be called"}'
        )
    if sent.function.name in TOOL_CHOICES:
        raise InvalidQuery(
            "tool_choice.function.name", f"{sent.function.name!r} is a word of its own", "another name"
        )
    return sent.function.name


def _message(field: str, turn: TurnAsked) -> Message:
    return Message(
        role=turn.role,
        parts=_parts(f"{field}.content", turn.content or turn.refusal or turn.content),
        name=turn.name or "",
        tool_call_id=turn.tool_call_id or "",
        tool_calls=tuple(
            _call(f"{field}.tool_calls[{index}]", call) for index, call in enumerate(turn.tool_calls or ())
        ),
        reasoning=turn.reasoning_content or turn.reasoning or "",
    )


def _parts(field: str, content: str | list[PartAsked] | None) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part(text=content),)
    parts = tuple(_part(f"{field}[{index}]", part) for index, part in enumerate(content))
    if len(parts) > 1 and all(part.kind is PartKind.TEXT for part in parts):
        return (Part(text="\n".join(part.text for part in parts)),)  # as vLLM reads them: words stay apart
    return parts


def _part(field: str, part: PartAsked) -> Part:
    one_of(f"{field}.type", "type of content", part.type, ("text", "image_url", "refusal"))
    if part.type != "image_url":
        text = part.text if part.type == "text" else part.refusal
        if text is None:
            raise InvalidQuery(f"{field}.{part.type}", "is missing", "text")
        return Part(text=text)
    if part.image_url is None:
        raise InvalidQuery(f"{field}.image_url", "is missing", '{"url": "http(s) or data URL"}')
    image = part.image_url
    if image.detail is not None:
        one_of(f"{field}.image_url.detail", "detail", image.detail, ("low", "high", "auto"))
    return Part(PartKind.IMAGE_URL, image_url=image.url, detail=image.detail or "")


def _call(field: str, call: CallAsked) -> ToolCall:
    one_of(f"{field}.type", "type of tool", call.type, FUNCTION)
    return ToolCall(call.id, call.function.name, call.function.arguments)


def _tool(field: str, tool: ToolAsked) -> Tool:
    one_of(f"{field}.type", "type of tool", tool.type, FUNCTION)
    if tool.function is None:
        raise InvalidQuery(f"{field}.function", "is missing", "a function with a name")
    parameters = tool.function.parameters
    return Tool(
        tool.function.name,
        tool.function.description or "",
        msgspec.json.encode(parameters).decode() if parameters else "",
        tool.function.strict,
    )

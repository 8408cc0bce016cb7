"""The turns of a conversation as a caller sent them, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from predictors.observation import Message, Part, PartKind
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire import ROLES, tool_calls_from_wire
from router.wire_checks import enum, shown

MIME = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+")
IMAGE_SCHEMES = ("https://", "http://", "data:")


def messages(sent: Sequence[pb.Message], max_chars: int) -> tuple[Message, ...]:
    """All turns; `max_chars` of text in total. Raises `InvalidQuery`."""
    if not sent:
        raise InvalidQuery("messages", "there are none", "at least one message")
    turns = tuple(_message(f"messages[{index}]", message) for index, message in enumerate(sent))
    chars = sum(_chars(turn) for turn in turns)
    if chars > max_chars:
        raise InvalidQuery("messages", f"{chars} characters of text", f"at most {max_chars}")
    return turns


def _message(field: str, sent: pb.Message) -> Message:
    role = enum(f"{field}.role", sent.role, ROLES, pb.Role.Name)
    parts = tuple(_part(f"{field}.parts[{index}]", part) for index, part in enumerate(sent.parts))
    if sent.tool_calls:
        _only(f"{field}.tool_calls", role, "assistant")
        for index, call in enumerate(sent.tool_calls):
            if not call.name:
                raise InvalidQuery(
                    f"{field}.tool_calls[{index}].name", "is empty", "the name of the tool called"
                )
    elif role == "tool":
        if not parts:
            raise InvalidQuery(
                f"{field}.parts", "there are none", "what the tool answered; the text may be empty"
            )
    elif all(part.kind is PartKind.TEXT and not part.text.strip() for part in parts):
        raise InvalidQuery(
            f"{field}.parts", "there is nothing in them", "text that is not blank, an image or data"
        )
    if role == "tool" and not sent.tool_call_id:
        raise InvalidQuery(f"{field}.tool_call_id", "is empty", "the id of the call that this answers")
    if sent.tool_call_id:
        _only(f"{field}.tool_call_id", role, "tool")
    if sent.reasoning:
        _only(f"{field}.reasoning", role, "assistant")
    return Message(
        role=role,
        parts=parts,
        name=sent.name,
        tool_call_id=sent.tool_call_id,
        tool_calls=tool_calls_from_wire(sent.tool_calls) if sent.tool_calls else (),
        reasoning=sent.reasoning,
    )


def _part(field: str, sent: pb.Part) -> Part:
    kind = sent.WhichOneof("kind")
    if kind == "text":
        return Part(text=sent.text)
    if kind == "image_url":
        if not sent.image_url.startswith(IMAGE_SCHEMES):
            raise InvalidQuery(
                f"{field}.image_url", f"{shown(sent.image_url)} is no image URL", "http(s) or data URL"
            )
        return Part(PartKind.IMAGE_URL, image_url=sent.image_url)
    if kind is None:
        raise InvalidQuery(field, "has no content", "text, image_url or data")
    if not MIME.fullmatch(sent.data.mime):
        raise InvalidQuery(f"{field}.data.mime", f"{shown(sent.data.mime)} is no MIME type", "e.g. image/png")
    if not sent.data.bytes:
        raise InvalidQuery(f"{field}.data.bytes", "is empty", "one byte or more")
    return Part(PartKind.DATA, data=sent.data.bytes, mime=sent.data.mime)


def _only(field: str, role: str, wanted: str) -> None:
    if role != wanted:
        raise InvalidQuery(field, f"is set in a message of role {role}", f"only in role {wanted}")


def _chars(turn: Message) -> int:
    texts = sum(len(part.text) for part in turn.parts)
    return texts + len(turn.reasoning) + sum(len(call.arguments) for call in turn.tool_calls)

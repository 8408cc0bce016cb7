"""What the turns of a conversation must be, whatever door they came through. Fields are named as on the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence

from predictors.observation import Message, Part, PartKind
from router.checks.fields import one_of, shown
from router.errors import InvalidQuery

ROLES = ("system", "developer", "user", "assistant", "tool")
MIME = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+")
IMAGE_SCHEMES = ("https://", "http://", "data:")


def check_messages(messages: Sequence[Message], max_chars: int) -> None:
    """All turns; `max_chars` of text in total. Raises `InvalidQuery`."""
    if not messages:
        raise InvalidQuery("messages", "there are none", "at least one message")
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)
    if all(_is_blank(message) and not message.tool_calls for message in messages):
        raise InvalidQuery("messages", "there is nothing in any of them", "text that is not blank in one")
    chars = sum(_chars(message) for message in messages)
    if chars > max_chars:
        raise InvalidQuery("messages", f"{chars} characters of text", f"at most {max_chars}")


def _check_message(field: str, message: Message) -> None:
    role = one_of(f"{field}.role", "role", message.role, ROLES)
    for index, part in enumerate(message.parts):
        _check_part(f"{field}.parts[{index}]", part)
    if message.tool_calls:
        _only(f"{field}.tool_calls", role, "assistant")
    else:
        _check_says_something(f"{field}.parts", message)
    for index, call in enumerate(message.tool_calls):
        if not call.name:
            raise InvalidQuery(f"{field}.tool_calls[{index}].name", "is empty", "the name of the tool called")
    if role == "tool" and not message.tool_call_id:
        raise InvalidQuery(f"{field}.tool_call_id", "is empty", "the id of the call that this answers")
    if message.tool_call_id:
        _only(f"{field}.tool_call_id", role, "tool")
    if message.reasoning:
        _only(f"{field}.reasoning", role, "assistant")


def _check_says_something(field: str, message: Message) -> None:
    """A user says something. What else stands in a history may be blank: tools and models answer so, too."""
    if message.role == "tool":
        if not message.parts:
            raise InvalidQuery(field, "there are none", "what the tool answered; the text may be empty")
    elif not message.parts or (message.role == "user" and _is_blank(message)):
        raise InvalidQuery(field, "there is nothing in them", "text that is not blank, an image or data")


def _is_blank(message: Message) -> bool:
    return all(part.kind is PartKind.TEXT and not part.text.strip() for part in message.parts)


def _check_part(field: str, part: Part) -> None:
    if part.kind is PartKind.IMAGE_URL:
        if not part.image_url.startswith(IMAGE_SCHEMES):
            raise InvalidQuery(
                f"{field}.image_url", f"{shown(part.image_url)} is no image URL", "http(s) or data URL"
            )
    elif part.kind is PartKind.DATA:
        if not MIME.fullmatch(part.mime):
            raise InvalidQuery(f"{field}.data.mime", f"{shown(part.mime)} is no MIME type", "e.g. image/png")
        if not part.data:
            raise InvalidQuery(f"{field}.data.bytes", "is empty", "one byte or more")


def _only(field: str, role: str, wanted: str) -> None:
    if role != wanted:
        raise InvalidQuery(field, f"is set in a message of role {role}", f"only in role {wanted}")


def _chars(message: Message) -> int:
    texts = sum(len(part.text) for part in message.parts)
    return texts + len(message.reasoning) + sum(len(call.arguments) for call in message.tool_calls)

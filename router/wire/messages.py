"""The turns of a conversation as a caller sent them, in our words; `router.checks.messages` says what they must be."""

from __future__ import annotations

from collections.abc import Sequence

from predictors.observation import Message, Part
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.checks import enum
from router.wire.parts import ROLES, part_from_wire, tool_calls_from_wire


def messages(sent: Sequence[pb.Message]) -> tuple[Message, ...]:
    """All turns. Raises `InvalidQuery` for what protobuf lets through and our words do not have."""
    return tuple(_message(f"messages[{index}]", message) for index, message in enumerate(sent))


def _message(field: str, sent: pb.Message) -> Message:
    return Message(
        role=enum(f"{field}.role", sent.role, ROLES, pb.Role.Name),
        parts=tuple(_part(f"{field}.parts[{index}]", part) for index, part in enumerate(sent.parts)),
        name=sent.name,
        tool_call_id=sent.tool_call_id,
        tool_calls=tool_calls_from_wire(sent.tool_calls) if sent.tool_calls else (),
        reasoning=sent.reasoning,
    )


def _part(field: str, sent: pb.Part) -> Part:
    if sent.WhichOneof("kind") is None:
        raise InvalidQuery(field, "has no content", "text, image_url or data")
    return part_from_wire(sent)

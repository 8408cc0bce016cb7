"""Requests in bytes, made before the clock runs, and what the replies' bytes say."""

from __future__ import annotations

from collections.abc import Iterator

from router.v1 import apportion_router_pb2 as pb
from training.suites.serving.prompts import Turn

SERVICE = "apportion.router.v1.Router"
ROLES = {"user": pb.ROLE_USER, "assistant": pb.ROLE_ASSISTANT}


def request(turns: tuple[Turn, ...], plan: str = "", max_tokens: int | None = None) -> bytes:
    """A `GenerateRequest` without an id of its own; `plan`: the only one that may be taken."""
    return pb.GenerateRequest(
        messages=[pb.Message(role=ROLES[role], parts=[pb.Part(text=text)]) for role, text in turns],
        constraints=pb.Constraints(plan=plan) if plan else None,
        sampling=pb.Sampling(max_tokens=max_tokens) if max_tokens else None,
    ).SerializeToString()


def requests(prompts: Iterator[tuple[Turn, ...]], plan: str = "") -> Iterator[bytes]:
    """One per prompt."""
    return (request(turns, plan) for turns in prompts)


def committed_text(event: bytes) -> str:
    """The text that an event of a stream commits; empty for any other event."""
    return pb.GenerateStreamEvent.FromString(event).answer_delta.text

"""What a field of the wire is called in an OpenAI request, so that messages name what the caller wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from router.errors import InvalidQuery

# The first that matches the beginning of a field counts.
_NAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"(messages\[\d+\])\.parts(\[\d+\])\.image_url", r"\1.content\2.image_url.url"),
        (r"(messages\[\d+\])\.parts", r"\1.content"),
        (r"(messages\[\d+\]\.tool_calls\[\d+\])\.name", r"\1.function.name"),
        (r"(messages\[\d+\])\.reasoning", r"\1.reasoning_content"),
        (r"(tools\[\d+\])\.(name|parameters)", r"\1.function.\2"),
        (r"answers", "n"),
        (r"sampling\.thinking_tokens", "thinking_token_budget"),
        (r"sampling\.", ""),
        (r"constraints\.max_cost", "router.constraints.max_cost_micros"),
        (r"constraints\.max_ttft", "router.constraints.max_ttft_s"),
        (
            r"(constraints|preferences|features|verifier|request_id|tenant|session_id|task_hint|priority)\b",
            r"router.\1",
        ),
    )
)


def as_asked(error: InvalidQuery, sent: Mapping[str, Any], *, text: bool = False) -> InvalidQuery:
    """The same refusal, of the field as the caller wrote it in the request `sent`; `text`: it was a prompt."""
    if error.field == "sampling.max_tokens" and sent.get("max_tokens") is None:
        return InvalidQuery("max_completion_tokens", error.problem, error.allowed)
    if text and error.field.startswith("messages"):
        return InvalidQuery("prompt", error.problem, error.allowed)
    for pattern, name in _NAMES:
        field, found = pattern.subn(name, error.field, count=1) if pattern.match(error.field) else ("", 0)
        if found:
            return InvalidQuery(field, error.problem, error.allowed)
    return error

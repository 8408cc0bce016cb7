"""Which keys of a request are ours to read, which go to the backend, which mean nothing here, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.checks.fields import choices, shown
from router.errors import InvalidQuery
from router.openai_door.asked import ChatAsked

READ = frozenset(ChatAsked.__struct_fields__)

# What OpenAI's own service does with them does not change the answer.
IGNORED = frozenset(
    (
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "prediction",  # only makes it quicker
    )
)

# Values that ask for what is done anyway; any other would change the answer.
AS_IT_IS: Mapping[str, Any] = {
    "logprobs": False,
    "top_logprobs": 0,
    "parallel_tool_calls": True,
    "modalities": ["text"],
}


def sort_out(sent: Mapping[str, Any], extra_allowed: frozenset[str]) -> dict[str, Any]:
    """The keys that go to the backend as they are. Raises `InvalidQuery` naming one that nobody could honour.

    `extra_allowed` are the keys that some backend passes on.
    """
    extra: dict[str, Any] = {}
    for key, value in sent.items():
        if key in READ or value is None:
            continue
        if key in extra_allowed:
            extra[key] = value
        elif key in AS_IT_IS:
            if value != AS_IT_IS[key] or isinstance(value, bool) != isinstance(AS_IT_IS[key], bool):
                raise InvalidQuery(key, f"{shown(value)} is not supported", _spelled(AS_IT_IS[key]))
        elif key not in IGNORED:
            raise InvalidQuery(
                shown(key)[1:-1],
                "is not supported here, and no backend passes it on",
                choices((*READ, *extra_allowed)),
            )
    return extra


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

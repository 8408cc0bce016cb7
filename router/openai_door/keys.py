"""Which keys of a request are ours to read, which go to the backend, which mean nothing here, and which are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from router.checks.fields import choices, meant, shown
from router.errors import InvalidQuery

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
AS_IT_IS: Mapping[str, Any] = {"modalities": ["text"], "echo": False, "best_of": 1, "suffix": ""}


# What is meant instead.
INSTEAD: Mapping[str, str] = {
    "functions": "tools, which took its place",
    "function_call": "tool_choice, which took its place",
    "extra_body": "what it holds, beside the other keys: OpenAI's client for Python puts it there",
}


def sort_out(sent: Mapping[str, Any], read: Collection[str], extra_allowed: frozenset[str]) -> dict[str, Any]:
    """The keys that go to the backend as they are. Raises `InvalidQuery` naming one that nobody could honour.

    `read` are the keys that we read ourselves, `extra_allowed` those that some backend passes on.
    """
    extra: dict[str, Any] = {}
    for key, value in sent.items():
        if key in read or value is None:
            continue
        if key in extra_allowed:
            extra[key] = value
        elif key in AS_IT_IS:
            if value != AS_IT_IS[key] or isinstance(value, bool) != isinstance(AS_IT_IS[key], bool):
                raise InvalidQuery(key, f"{shown(value)} is not supported", _spelled(AS_IT_IS[key]))
        elif key in INSTEAD:
            raise InvalidQuery(key, "is not supported here", INSTEAD[key])
        elif key not in IGNORED:
            raise InvalidQuery(
                shown(key)[1:-1],
                f"is not supported here, and no backend passes it on{meant(key, (*read, *extra_allowed))}",
                f"{choices((*read, *extra_allowed))}, and what backends have in their extra_allowed",
            )
    return extra


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

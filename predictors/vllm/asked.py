"""What a request may say about hidden states: an opaque key, never a path; positions, never code.

In `kv_transfer_params`: `{"apportion": {"key": "32 hex digits", "tenant": "…", "split": 57, "marks": [40, 80]}}`. The
key is drawn by whoever asks (128 random bits) and names the result; without it nothing is kept of a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELD = "apportion"
MOST_MARKS = 16
_KEY = re.compile(r"[0-9a-f]{32}")
_CHILD = re.compile(r"(\d{1,4})_(?:chat)?cmpl-")  # how vLLM names the samples of one request with n > 1
_LONGEST_TENANT = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked of one request."""

    key: str  # 32 hex digits
    tenant: str = ""  # any text: it is hashed before it names a folder
    # tokens that count as the prompt, >= 1; None: those that were sent as the prompt
    split: int | None = None
    marks: tuple[int, ...] = ()  # positions, from 0, whose states are wanted as they are


def read_ask(params: Mapping[str, Any] | None) -> Ask | None:
    """The ask in a request's `kv_transfer_params`; None where there is none or any of it is malformed."""
    said = params.get(FIELD) if isinstance(params, Mapping) else None
    if not isinstance(said, Mapping):
        return None
    key, tenant = said.get("key"), said.get("tenant", "")
    split, marks = said.get("split"), said.get("marks", ())
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return None
    if not isinstance(tenant, str) or len(tenant) > _LONGEST_TENANT:
        return None
    if split is not None and not _is_count(split, 1):
        return None
    if not isinstance(marks, list | tuple) or len(marks) > MOST_MARKS:
        return None
    if not all(_is_count(mark, 0) for mark in marks):
        return None
    return Ask(key, tenant, split, tuple(marks))


def child_index(request_id: str) -> int:
    """Which of a request's `n` samples vLLM's own request id stands for; 0 where there is one."""
    found = _CHILD.match(request_id)
    return int(found.group(1)) if found else 0


def ask_params(
    key: str, tenant: str = "", split: int | None = None, marks: Sequence[int] = ()
) -> dict[str, Any]:
    """The `kv_transfer_params` to send; at most `MOST_MARKS` marks are read."""
    said: dict[str, Any] = {"key": key, "tenant": tenant}
    if split is not None:
        said["split"] = split
    if marks:
        said["marks"] = list(marks)
    return {FIELD: said}


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31

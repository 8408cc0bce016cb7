"""Decisions and outcomes as rows of a store: bytes, join keys and page tokens, the same for every store."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from router.domain.decision import Decision, Outcome
from router.errors import InvalidQuery

MOST_PER_PAGE = 1000

Place = tuple[float, int]
"""Where a row stands in "newest first": its `created_at`, then its number in the store."""

Subject = tuple[Literal["decision", "request", "session"], str]
"""What an outcome is about: the most specific of the ids that it names."""


def to_bytes(row: Decision | Outcome) -> bytes:
    """MessagePack of all fields. Broken UTF-8 (lone surrogates) becomes `?`: a row is never lost to a text."""
    try:
        return msgspec.msgpack.encode(row)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(_readable(row))


def to_decision(data: bytes) -> Decision:
    """The decision that `to_bytes` wrote; fields that were added since have their defaults. Raises `DecodeError`."""
    return _decoded(Decision, data)  # type: ignore[no-any-return]


def to_outcome(data: bytes) -> Outcome:
    """The outcome that `to_bytes` wrote. Raises `DecodeError`."""
    return _decoded(Outcome, data)  # type: ignore[no-any-return]


def readable_text(text: str) -> str:
    """The text with lone surrogates and NUL replaced; not every store takes them."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def subject_of(outcome: Outcome) -> Subject:
    """What the outcome is joined by."""
    if outcome.decision_id:
        return "decision", readable_text(outcome.decision_id)
    if outcome.request_id:
        return "request", readable_text(outcome.request_id)
    return "session", readable_text(outcome.session_id)


def subjects_of(decision: Decision) -> tuple[Subject, ...]:
    """By what outcomes are joined to the decision; within its tenant."""
    asked: tuple[Subject, ...] = (
        ("decision", decision.decision_id),
        ("request", decision.request_id),
        ("session", decision.session_id),
    )
    return tuple((kind, readable_text(name)) for kind, name in asked if name)


def key_of(outcome: Outcome) -> str:
    """What makes the report idempotent within its tenant; without a key every report is its own."""
    return readable_text(f"key:{outcome.key}" if outcome.key else f"id:{outcome.outcome_id}")


def superseded_key(outcome: Outcome) -> str:
    """`key_of` of the report that this one corrects, or ""; a report does not correct itself."""
    if not outcome.supersedes or outcome.supersedes == outcome.key:
        return ""
    return readable_text(f"key:{outcome.supersedes}")


def place_of(decision: Decision, number: int) -> Place:
    """The decision's place; a time that is none stands at the beginning."""
    return (decision.created_at if math.isfinite(decision.created_at) else 0.0), number


def token_behind(place: Place) -> str:
    """The token of the page that begins behind this row."""
    return f"{place[0].hex()}_{place[1]}"


def page_start(page_size: int, token: str) -> Place | None:
    """The place behind which the page begins; None: at the newest. Raises `InvalidQuery`."""
    if not 1 <= page_size <= MOST_PER_PAGE:
        raise InvalidQuery("page_size", f"got {page_size}", f"1 to {MOST_PER_PAGE}")
    if not token:
        return None
    moment, _, number = token.partition("_")
    try:
        place = float.fromhex(moment), int(number)
    except (ValueError, OverflowError):
        raise InvalidQuery(
            "page_token", f"{token[:80]!r} is not one", "a next_page_token, or empty"
        ) from None
    if not math.isfinite(place[0]) or abs(place[1]) >= 2**63:
        raise InvalidQuery("page_token", f"{token[:80]!r} is not one", "a next_page_token, or empty")
    return place


def _decoded(row: type, data: bytes) -> Any:
    try:
        return _decoder(row).decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


@functools.cache
def _decoder(row: type) -> Any:
    return msgspec.msgpack.Decoder(row)


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable_text(value)
    if isinstance(value, Mapping):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_readable(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {item.name: _readable(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value

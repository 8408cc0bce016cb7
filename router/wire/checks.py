"""Checks of what only protobuf has: enums of any number, and durations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from router.errors import InvalidQuery

Number = TypeVar("Number", bound=int)
Word = TypeVar("Word")


def enum(field: str, number: Number, words: Mapping[Number, Word], spell: Callable[[Number], str]) -> Word:
    """The word behind an enum's number; proto3 lets any number through. `spell` is the enum's `Name`."""
    try:
        return words[number]
    except KeyError:
        allowed = ", ".join(spell(word) for word in words)
        raise InvalidQuery(field, f"{number} does not say which", allowed) from None


def seconds(field: str, duration: Duration) -> float:
    """A duration in seconds, of at most what protobuf allows (10,000 years either way)."""
    value: float = duration.seconds + duration.nanos * 1e-9
    if abs(duration.nanos) > 999_999_999 or abs(duration.seconds) > 315_576_000_000:
        raise InvalidQuery(
            field, f"{value:g} s is not a Duration", "seconds within 10,000 years, nanos below 1e9"
        )
    return value


def duration(value_s: float) -> Duration:
    """Seconds >= 0 as a `Duration`."""
    made = Duration()
    set_duration(made, value_s)
    return made


def set_duration(target: Duration, value_s: float) -> None:
    """The same, written into a message's own field: cheaper than to make one and to copy it in."""
    whole = int(value_s)
    target.seconds, target.nanos = whole, min(999_999_999, round((value_s - whole) * 1e9))


def from_duration(value: Duration) -> float:
    """A `Duration` that we sent, in seconds."""
    return float(value.seconds + value.nanos / 1e9)

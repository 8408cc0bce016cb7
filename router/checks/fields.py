"""Checks of one value that a caller sent; `InvalidQuery` names the field and says what is allowed."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from router.errors import InvalidQuery

MAX_ID_BYTES = 128
SHOWN_CHARS = 60  # of a caller's value in a message: the value may be megabytes long
MEANT_OF = 200  # names that are compared with one that is not known: callers send it, and it takes time
SHOWN_CHOICES = 40  # of the names that are allowed: an error travels in an HTTP/2 header of 8 kB


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a field takes: [low, high], or (low, high] with `above`; finite."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __str__(self) -> str:
        if self.high == math.inf:
            if self.low == -math.inf:
                return "finite numbers"
            return f"finite, {'above' if self.above else 'at least'} {self.low:g}"
        return f"finite, in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"

    def check(self, field: str, value: float) -> None:
        """Raise where `value` is outside, infinite or not a number."""
        if (
            not math.isfinite(value)
            or value > self.high
            or value < self.low
            or (self.above and value == self.low)
        ):
            raise InvalidQuery(field, f"{value} is out of range", str(self))


SHARE = Range(0, 1)


def shown(value: object) -> str:
    """A value for a message, shortened."""
    text = repr(value[: SHOWN_CHARS + 1] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= SHOWN_CHARS + 2 else f"{text[:SHOWN_CHARS]}…"


def choices(names: Iterable[str]) -> str:
    """Names for a message, sorted, the first forty of them."""
    every = sorted(names)
    more = f", … ({len(every)} in all)" if len(every) > SHOWN_CHOICES else ""
    return ", ".join(every[:SHOWN_CHOICES]) + more


def meant(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'messages'?)`, or nothing where no name is near; of a few hundred names at most."""
    near = difflib.get_close_matches(name[:SHOWN_CHARS], sorted(names)[:MEANT_OF], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def one_of(field: str, kind: str, name: str, names: Iterable[str]) -> str:
    """`name`, which must be one of `names`."""
    if name not in names:
        raise InvalidQuery(
            field,
            f"unknown {kind} {shown(name)}{meant(name, names)}",
            choices(names) or f"no {kind} is configured",
        )
    return name


def short_text(field: str, text: str) -> str:
    """`text`, of at most `MAX_ID_BYTES` of UTF-8, none of them NUL: databases take it for an end, or not."""
    if "\0" in text:
        raise InvalidQuery(field, f"{shown(text)} has a NUL in it", "text without")
    if len(text) > MAX_ID_BYTES or (not text.isascii() and len(text.encode()) > MAX_ID_BYTES):
        raise InvalidQuery(field, f"{len(text.encode())} bytes", f"at most {MAX_ID_BYTES} bytes")
    return text


def matching(field: str, text: str, pattern: re.Pattern[str]) -> str:
    """`text`, all of which must match `pattern`."""
    if not pattern.fullmatch(text):
        raise InvalidQuery(field, f"{shown(text)} is not a name", pattern.pattern)
    return text


def at_most(field: str, count: int, limit: int) -> None:
    """Raise where a list or map has more than `limit` entries."""
    if count > limit:
        raise InvalidQuery(field, f"{count} entries", f"at most {limit}")


def json_object(field: str, text: str) -> dict[str, Any]:
    """The JSON object that `text` spells."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidQuery(field, f"not JSON: {str(error)[:SHOWN_CHARS]}", "a JSON object") from error
    if not isinstance(value, dict):
        raise InvalidQuery(field, f"JSON, but {shown(value)} is no object", "a JSON object")
    return value


def seconds_above_zero(field: str, value_s: float) -> float:
    """`value_s`, a finite time above 0."""
    if not 0 < value_s < math.inf:
        raise InvalidQuery(field, f"{value_s:g} s is out of range", "above 0 s")
    return value_s

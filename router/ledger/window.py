"""When something that was spent leaves its window: rolling over the last seconds, or with the UTC hour, day or month.

What is spent counts from its booking. In a rolling window it leaves after the window's length, up to a `GRAINS`th of
it later, never sooner; in a calendar window it leaves when the hour, day or month ends. What is reserved or held by a
replica counts until it is booked or returned, also across the end of a calendar window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from router.errors import ConfigError

GRAINS = 256  # slices of a rolling window that are kept apart
LONGEST_S = 366 * 86_400.0

Kind = Literal["rolling", "hour", "day", "month"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NOMINAL_S: dict[str, float] = {"hour": 3600.0, "day": 86_400.0, "month": 30 * 86_400.0}


@dataclass(frozen=True, slots=True)
class Window:
    """`length_s` is meant for rolling windows only: (0, 366 days]. Times are seconds since the epoch."""

    kind: Kind = "rolling"
    length_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"window: unknown kind {self.kind!r}; choose from {', '.join(KINDS)}")
        if self.kind == "rolling" and not 0 < self.length_s <= LONGEST_S:
            raise ConfigError(
                f"window: a rolling window has a length above 0 and at most {LONGEST_S:g} s, got {self.length_s}"
            )

    @property
    def nominal_s(self) -> float:
        """Its length in seconds; a month has 30 days here."""
        return NOMINAL_S.get(self.kind, self.length_s)

    def leaves(self, at: float) -> float:
        """When something booked at `at` leaves, > `at`."""
        if self.kind == "rolling":
            grain = self.length_s / GRAINS
            return (at // grain + 1) * grain + self.length_s
        return self.start_and_end(at)[1]

    def ends(self, at: float) -> float | None:
        """The end of the calendar window that holds `at`; None for a rolling one."""
        return None if self.kind == "rolling" else self.start_and_end(at)[1]

    def start_and_end(self, at: float) -> tuple[float, float]:
        """The calendar window that holds `at`: [start, end). For a rolling one: the length up to `at`."""
        if self.kind == "rolling":
            return at - self.length_s, at
        if self.kind != "month":
            start = at // self.nominal_s * self.nominal_s  # UTC has no leap seconds here, as in POSIX
            return start, start + self.nominal_s
        first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        return first.timestamp(), following.timestamp()

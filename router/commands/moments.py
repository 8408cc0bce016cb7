"""Moments that are given to commands."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from router.command_group import CommandFailed

MOMENTS = "24h, 7d (ago), 2026-01-01, 2026-01-01T12:00 (UTC)"  # how they are written, for help texts
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_of(option: str, text: str, now_s: float) -> float | None:
    """Seconds since the epoch of "24h" (ago), "2026-01-01" or "2026-01-01T12:00" (UTC); None for "".

    Raises `CommandFailed` for anything else.
    """
    if not text:
        return None
    ago = _DURATION.match(text.strip())
    if ago:
        return now_s - float(ago[1]) * _SECONDS[ago[2]]
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandFailed(
            f"{option}: {text!r} is no time; write 24h, 7d, 2026-01-01 or 2026-01-01T12:00"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def period(since: str, until: str, now_s: float) -> tuple[float | None, float | None]:
    """What `--since` and `--until` say. Raises `CommandFailed` also where nothing is between them."""
    start, end = moment_of("--since", since, now_s), moment_of("--until", until, now_s)
    if start is not None and end is not None and start >= end:
        raise CommandFailed(f"--since {since} is not before --until {until}: there is nothing between them")
    return start, end

"""How fast a backend is, for forecasts of latency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one sample: seconds until its first token, with what it waits in a queue, and tokens per second after it."""

    first_token_s: float = 0.2
    tokens_per_second: float = 50.0

"""Dollars per hour and a measured throughput as $ per 1M tokens.

price = dollars per hour / (tokens per second * 3600) * 1e6, of input with the speed of reading, of output with that of
writing several samples at once. When it fails: the server was busy with other work while it was measured, or will be
fuller in production than it was then; both make these prices too high.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.configuration.bounds import CHEAPEST
from router.onboarding.findings import Speed

DEAREST = 1_000_000.0  # $ per 1M tokens: what router.toml takes
LEAST_CACHED = 0.1  # of the price of input: what hosted services ask; a time to the first token is never 0


@dataclass(frozen=True, slots=True)
class Prices:
    """$ per 1M tokens; 0 where it is not known."""

    price_in: float = 0.0
    price_cached_in: float | None = None  # None: as price_in
    price_out: float = 0.0


def prices_of(dollars_per_hour: float | None, speed: Speed) -> Prices:
    """What a token costs on a machine that costs so much; zeros where dollars or throughput are not known."""
    # several that write less than one alone were held up by something else: that is no throughput
    writing = max(speed.tokens_per_second_busy or 0.0, speed.tokens_per_second or 0.0)
    price_in = per_million(dollars_per_hour, speed.prompt_tokens_per_second)
    cached = None
    if price_in and speed.prefix_cache and speed.cached_time_share is not None:
        cached = min(price_in, _plain(price_in * max(LEAST_CACHED, speed.cached_time_share)))
    return Prices(price_in, cached, per_million(dollars_per_hour, writing))


def per_million(dollars_per_hour: float | None, tokens_per_second: float | None) -> float:
    """0 where either is not known.

    >>> per_million(3.6, 1000)
    1.0
    """
    if dollars_per_hour is None or not tokens_per_second:
        return 0.0
    return _plain(dollars_per_hour / (tokens_per_second * 3600) * 1e6)


def _plain(price: float) -> float:
    """Three digits, within what router.toml takes."""
    return min(DEAREST, max(CHEAPEST, float(f"{price:.3g}")))

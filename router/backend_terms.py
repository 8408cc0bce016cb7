"""What configuration says about every backend's prices, limits and speed, as the ledger and the forecasts want it."""

from __future__ import annotations

from router.config import BackendConfig, Config
from router.domain.usage import Price
from router.forecast import Speed
from router.worst_case import Bound


def price_of(backend: BackendConfig) -> Price:
    """$ per 1M tokens are micro-dollars per token; cached input costs what input costs where nothing else is said."""
    cached = backend.price_in if backend.price_cached_in is None else backend.price_cached_in
    return Price(backend.price_in, cached, backend.price_out)


def prices_of(config: Config) -> dict[str, Price]:
    """By backend."""
    return {name: price_of(backend) for name, backend in config.backends.items()}


def bounds_of(config: Config) -> dict[str, Bound]:
    """By backend: what one sample of it can cost at most."""
    return {
        name: Bound(price_of(backend), backend.max_tokens, backend.template_tokens, backend.context_tokens)
        for name, backend in config.backends.items()
    }


def speeds_of(config: Config) -> dict[str, Speed]:
    """By backend: seconds to the first token and tokens per second, until they are learned."""
    return {
        name: Speed(backend.first_token_s, backend.tokens_per_second)
        for name, backend in config.backends.items()
    }

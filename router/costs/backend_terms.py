"""What configuration says about every backend's prices, limits and speed, as the ledger and the forecasts want it."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime

from msgspec import structs

from router.config import BackendConfig, Config, PriceConfig
from router.costs.worst_case import Bound
from router.domain.speed import Speed
from router.domain.usage import Price


def price_of(backend: BackendConfig, at: float = -math.inf) -> Price:
    """Its price at a time (seconds since the epoch); by default the one before any date.

    $ per 1M tokens are micro-dollars per token; cached input costs what input costs where nothing else is said.
    """
    price_in, cached, price_out = backend.price_in, backend.price_cached_in, backend.price_out
    gpu = backend.price_per_gpu_second
    for entry in sorted(backend.prices, key=since):
        if since(entry) <= at:
            price_in = price_in if entry.price_in is None else entry.price_in
            cached = cached if entry.price_cached_in is None else entry.price_cached_in
            price_out = price_out if entry.price_out is None else entry.price_out
            gpu = gpu if entry.price_per_gpu_second is None else entry.price_per_gpu_second
    return Price(price_in, price_in if cached is None else cached, price_out, gpu * 1e6)


def since(entry: PriceConfig) -> float:
    """From when on a price holds, seconds since the epoch. Raises `ValueError` where it is no date."""
    date = datetime.fromisoformat(entry.since)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def prices_of(config: Config, at: float = -math.inf) -> dict[str, Price]:
    """By backend, at a time."""
    return {name: price_of(backend, at) for name, backend in config.backends.items()}


def priced_at(config: Config, at: float) -> Config:
    """The configuration with the prices of a time (seconds since the epoch) as its only ones."""
    now = prices_of(config, at)
    backends = {
        name: structs.replace(
            backend,
            price_in=now[name].per_token_in,
            price_cached_in=now[name].per_token_cached,
            price_out=now[name].per_token_out,
            price_per_gpu_second=now[name].per_gpu_second / 1e6,
            prices=(),
        )
        if backend.prices
        else backend
        for name, backend in config.backends.items()
    }
    return structs.replace(config, backends=backends)


def bounds_of(config: Config, at: float = -math.inf) -> dict[str, Bound]:
    """By backend: what one sample of it can cost at most, at the prices of a time."""
    return {name: _bound(config, backend, at) for name, backend in config.backends.items()}


def _bound(config: Config, backend: BackendConfig, at: float) -> Bound:
    compose = backend.compose
    members = [config.backends[name] for name in (compose.small, compose.large) if name in config.backends]
    price = price_of(backend, at)
    if members:  # the dearer of both, in every respect
        charged = [price_of(one, at) for one in members]
        price = Price(*(max(getattr(one, item.name) for one in charged) for item in fields(Price)))
    calls = 3 * compose.most_steps + 3 if members else 1
    dropped = 0
    if backend.kind == "search":  # every step is written and scored, and the best text is written to its end
        calls, dropped = 2 * compose.expansions + 1, compose.expansions * compose.step_tokens
    copies = 2 if any(one.hedge_after_s > 0 for one in (backend, *members)) else 1
    return Bound(
        price,
        backend.max_tokens,
        backend.template_tokens,
        backend.context_tokens,
        copies * calls * max(one.gpu_share * one.timeout_s for one in (backend, *members)),
        backend.growing.answer_tokens,
        calls,
        copies,
        dropped,
    )


def price_dates(config: Config) -> tuple[float, ...]:
    """When prices change, in order, seconds since the epoch."""
    return tuple(sorted({since(entry) for backend in config.backends.values() for entry in backend.prices}))


def speeds_of(config: Config) -> dict[str, Speed]:
    """By backend, as configured: how fast it is while nobody else asks it."""
    return {
        name: Speed(backend.first_token_s, backend.tokens_per_second)
        for name, backend in config.backends.items()
    }

"""Prices that can be served and are hardly meant: not in $ per 1M tokens, or finer than what is charged."""

from __future__ import annotations

from collections.abc import Iterator

from router.config import BackendConfig, Config, PriceConfig

DEAREST = 1000.0  # $ per 1M tokens; models are sold for up to some hundreds
CHEAPEST = 0.01  # $ per 1M tokens; below it a hundred tokens cost a micro-dollar, the least that is charged
DEAREST_GPU = 0.1  # dollars per second: 360 an hour
PER_TOKEN = ("price_in", "price_cached_in", "price_out")


def price_doubts(config: Config) -> tuple[str, ...]:
    """A sentence for every price that looks wrong; () where none does."""
    return tuple(
        doubt
        for name, backend in config.backends.items()
        for where, prices in _all(f"backends.{name}", backend)
        for doubt in _doubts(where, prices)
    )


def _all(where: str, backend: BackendConfig) -> Iterator[tuple[str, BackendConfig | PriceConfig]]:
    yield where, backend
    for entry in backend.prices:
        yield f"{where}.prices since {entry.since}", entry


def _doubts(where: str, prices: BackendConfig | PriceConfig) -> Iterator[str]:
    told = {key: value for key in PER_TOKEN if (value := getattr(prices, key))}
    for key, value in told.items():
        if value > DEAREST:
            yield f"{where}.{key} = {value:g} is ${value:,.0f} per 1M tokens, ${value / 1e6:.2g} a token: is it meant?"
    dearest = max(told.values(), default=0.0)
    if 0 < dearest < CHEAPEST:
        yield (
            f"{where}: at most ${dearest:g} per 1M tokens: are the prices meant for 1M tokens, not for one? A query "
            "is charged in whole micro-dollars, rounded up: budgets count short ones as several times what they cost"
        )
    second = prices.price_per_gpu_second or 0.0
    if second > DEAREST_GPU:
        yield f"{where}.price_per_gpu_second = {second:g} is ${3600 * second:,.0f} an hour: is it meant?"

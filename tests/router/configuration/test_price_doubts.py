"""Prices that can be served and are hardly meant are said to be so, with their unit."""

from __future__ import annotations

import re

import pytest

from router.config import BackendConfig, Config, PriceConfig
from router.configuration.doubts import price_doubts


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"price_out": 80_000.0}, r"backends.b.price_out = 80000 is \$80,000 per 1M tokens, \$0.08 a token"),
        ({"price_in": 2_000.0, "price_out": 4.0}, "backends.b.price_in = 2000 is"),
        ({"price_in": 4e-8, "price_out": 8e-7}, r"at most \$8e-07 per 1M tokens: .*whole micro-dollars"),
        ({"price_per_gpu_second": 4.0}, r"price_per_gpu_second = 4 is \$14,400 an hour"),
        ({"prices": (PriceConfig("2027-01-01", price_out=80_000.0),)}, "backends.b.prices since 2027-01-01.price_out"),
    ],
)  # fmt: skip
def test_a_price_of_another_unit_is_doubted(prices, said):
    (doubt,) = price_doubts(Config(backends={"b": BackendConfig(**prices)}, plans=()))
    assert re.search(said, doubt), doubt


@pytest.mark.parametrize(
    "prices",
    [
        {},
        {"price_in": 0.01, "price_out": 0.01},
        {"price_in": 0.0, "price_out": 0.08},
        {"price_in": 150.0, "price_out": 600.0},
        {"price_in": 0.04, "price_cached_in": 0.001, "price_out": 0.08},
        {"price_per_gpu_second": 0.0028},
    ],
)
def test_usual_prices_are_not_doubted(prices):
    assert price_doubts(Config(backends={"b": BackendConfig(**prices)}, plans=())) == ()

"""Trials with a known truth: what two plans give and cost is drawn from known distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from router.assemble import assemble
from router.config import Config
from router.first_decision.choose import Chooser
from training.outlook.trial import Trial

LARGE_COST, SMALL_COST = 100.0, 10.0  # micro-dollars, mean


@dataclass(frozen=True)
class Known(Trial):
    """A trial whose policy is given: each query goes to small with its own probability, whatever the price."""

    small: np.ndarray = field(compare=False)  # (n,)

    def probabilities(self, price: float) -> np.ndarray:
        return np.stack([self.small, 1 - self.small], axis=1)


def chooser() -> Chooser:
    """Of a service with the plans small and large."""
    config = msgspec.convert(
        {
            "backends": {name: {"kind": "scripted"} for name in ("small", "large")},
            "plans": [{"name": name, "stages": [{"backend": name}]} for name in ("small", "large")],
            "reference": "large",
            "store": {"sqlite": ":memory:"},
        },
        Config,
    )
    return assemble(config, base=Path()).allocator.books.chooser


def known(rng: np.random.Generator, count: int, made: Chooser, *, sharp: bool = False) -> Known:
    """Easy queries mostly go to small (`sharp`: without chance); each answer is right or wrong, each cost is drawn."""
    easy = rng.random(count)
    small = (easy > 0.5).astype(float) if sharp else 0.1 + 0.8 * easy
    rate = np.stack([easy, 0.5 + 0.5 * easy], axis=1)
    length = rng.lognormal(-0.125, 0.5, (count, 2))
    cost = length * np.array([SMALL_COST, LARGE_COST])
    reward = (rng.random((count, 2)) < rate).astype(float)
    forecast = np.tile([SMALL_COST, LARGE_COST], (count, 1))
    nobody: tuple[Any, ...] = (None,) * count  # its own policy asks for no forecast
    return Known(("small", "large"), made, nobody, reward, cost, rate, forecast, small)


@pytest.fixture(scope="session")
def truth() -> SimpleNamespace:
    """`known` trials by seed and size."""
    made = chooser()
    return SimpleNamespace(
        known=lambda seed, count=200, **more: known(np.random.default_rng(seed), count, made, **more)
    )

"""A small made-up world, with outcomes that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import training
from router.recording import Recording
from training.suites.ope.world import Samples, World, world_of


def made_world(n: int = 400, width: int = 2, seed: int = 0) -> World:
    """Rewards are draws from chances that the first features say; two samples in every cell."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    chance = np.clip(0.4 + 0.2 * features[:, :1] + 0.1 * np.arange(width), 0.05, 0.95)
    reward = (rng.random((n, width, 2)) < chance[:, :, None]).astype(np.float64)
    cost = np.tile(1e-4 * 4.0 ** np.arange(width), (n, 1))
    first = 2 * np.arange(n * width).reshape(n, width)
    return World(
        name="made",
        backends=tuple(f"backend-{place}" for place in range(width)),
        features=features,
        served=features,
        expected=chance,
        expected_cost=cost,
        reward=reward.mean(axis=2),
        cost=cost,
        samples=Samples(
            first, np.full((n, width), 2), reward.ravel(), np.repeat(cost.ravel(), 2), np.ones(2 * n * width)
        ),
        task=np.where(features[:, 1] > 0, "sums", "words"),
        base=(features[:, 1] > 0).astype(np.int64),
        target=(features[:, 0] > 0).astype(np.int64) * (width - 1),
        price=0.0,
    )


@pytest.fixture
def world() -> World:
    return made_world()


@pytest.fixture(scope="session")
def house() -> World:
    """The recording that ships, fitted once."""
    return world_of(Recording.load(Path(training.__file__).parent / "recordings" / "house"), 0)

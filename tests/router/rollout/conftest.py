"""A service over scripted backends with a folder of three bundles, and clients of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictors.bundle import Bundle
from predictors.observation import Sample
from router.assemble import Service, assemble
from router.client import AdminClient, Client
from router.configuration.file import load
from router.rollout.shelf import Shelf
from router.server import Servers
from training.fit.heads import fit_held_out
from training.fit.rows import FitRows, LabelledSample

TOML = """
bundles = "bundles"
{top}
[backends.small]
kind = "scripted"
script = ["4"]
price_out = 0.1
[backends.large]
kind = "scripted"
script = ["5"]
price_out = 1.0
[[plans]]
name = "small"
stages = [{{ backend = "small" }}]
[[plans]]
name = "large"
stages = [{{ backend = "large" }}]
[store]
sqlite = "{store}"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
"""


def made_up_bundle(seed: int, backends: tuple[str, ...] = ("small", "large"), queries: int = 60) -> Bundle:
    """What is learned of made-up sums; every seed gives another version."""
    rng = random.Random(seed)
    texts = tuple(f"What is {number} + {rng.randint(2, 99)}?" for number in range(queries))
    reward = np.array([[float(rng.random() < 0.4), float(rng.random() < 0.8)] for _ in texts])
    tokens = np.full(reward.shape, 12.0)
    samples = tuple(
        LabelledSample(
            at, Sample(f"{at}-{name}", name, "4", answer="4", tokens_out=12), float(reward[at, place])
        )
        for at in range(queries)
        for place, name in enumerate(backends)
    )
    blank = np.full(reward.shape, np.nan)
    rows = FitRows(texts, backends, reward, blank, tokens, np.zeros(reward.shape, dtype=np.bool_), samples)
    return fit_held_out(rows, seed).bundle


@dataclass
class House:
    """One replica and its clients."""

    service: Service
    client: Client
    admin: AdminClient


@pytest.fixture(scope="session")
def three_bundles() -> tuple[Bundle, ...]:
    return tuple(made_up_bundle(seed) for seed in (1, 2, 3))


@pytest.fixture
def shelf(tmp_path: Path, three_bundles: tuple[Bundle, ...]) -> Shelf:
    """The three bundles in the folder that the configuration names."""
    found = Shelf(tmp_path / "bundles")
    for bundle in three_bundles:
        found.add(bundle)
    return found


@pytest.fixture
def serving(tmp_path: Path, shelf: Shelf) -> Any:
    """Starts a replica: `async with serving() as house`."""
    numbers = itertools.count()

    @asynccontextmanager
    async def start(
        *, store: str = ":memory:", ledger: str = "", top: str = "", poll_s: float = 0.05
    ) -> AsyncIterator[House]:
        path = tmp_path / f"router-{next(numbers)}.toml"
        text = TOML.format(top=top, store=store)
        path.write_text(text.replace("[server]", f'ledger = "{ledger}"\n[server]') if ledger else text)
        service = assemble(load(path), base=tmp_path)
        service.rollout._poll_s = poll_s
        servers = Servers(service)
        addresses = await servers.start()
        try:
            async with (
                Client(addresses.router, timeout_s=20.0) as client,
                AdminClient(addresses.admin) as admin,
            ):
                yield House(service, client, admin)
        finally:
            await servers.stop()
            await service.close()

    return start

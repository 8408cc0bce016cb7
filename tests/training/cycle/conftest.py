"""A service that was asked and told how it went: what a cycle learns from."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.configuration.file import load
from router.domain.decision import Decision, Outcome
from router.domain.events import Done
from router.domain.options import Options
from training.cycle.run import Place

TOML = """
bundles = "bundles"
price = 1000.0
policy = { kind = "softmax", explore = 1.0, temperature = 10.0, floor = 0.1 }
[backends.small]
kind = "scripted"
script = ["four"]
price_out = 1.0
max_tokens = 20
[backends.large]
kind = "scripted"
script = ["4"]
price_out = 20.0
max_tokens = 20
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
[store]
sqlite = "decisions.db"
"""
WORDS = {True: "add the two numbers in this easy sum", False: "prove the hard theorem about primes"}


def truth(decision: Decision, *, easy: bool) -> float:
    """P(right): small is right about sums alone, large about most."""
    return 0.9 if easy or decision.plan == "large" else 0.05


async def asked(folder: Path, queries: int, seed: int, right: Callable[..., float] = truth) -> None:
    """Every decision is rewarded."""
    chance = random.Random(seed)
    service = assemble(load(folder / "router.toml"), base=folder)
    outcomes = []
    try:
        for number in range(queries):
            easy = chance.random() < 0.5
            text = f"{WORDS[easy]} {seed * 100_000 + number}"
            query = Query(f"{seed}-{number}", (Message("user", (Part(text=text),)),))
            async for event in service.allocator.run(query, Options()):
                if isinstance(event, Done):
                    reward = float(chance.random() < right(event.decision, easy=easy))
                    outcomes.append(
                        Outcome(f"{seed}-{number}", "reward", reward, "number", event.decision.decision_id)
                    )
        await service.store.report(outcomes)
    finally:
        await service.close()


@pytest.fixture
def toml() -> str:
    """A service with a small and a large plan that are drawn about as often."""
    return TOML


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("asked")
    (folder / "router.toml").write_text(TOML)
    asyncio.run(asked(folder, 700, 1))
    return folder


@pytest.fixture
def place(template, tmp_path) -> Place:
    """A copy of a folder of a service with 700 rewarded decisions of no bundle."""
    import shutil

    folder = tmp_path / "service"
    shutil.copytree(template, folder)
    config = load(folder / "router.toml")
    return Place(config, folder, str(folder / "decisions.db"), folder / "cycle")


@pytest.fixture
def ask_more():
    """`await ask_more(folder, queries, seed, right)`."""
    return asked

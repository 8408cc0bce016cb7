"""A stranger's first hour: two model servers, 300 queries without labels, five commands, and what they were worth."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictors.observation import Constraints
from router.backends.stub_process import StubProcess
from router.client import Client, Reply

LABELLED, OBSERVED, APPLIED = 300, 40, 150
SEED = 3
PACE = "20"  # times 50 tokens per second
COMMAND_S = 300.0


@dataclass(frozen=True)
class Stranger:
    """A folder with a router.toml, a recording and a bundle; what the commands said; and what only the test knows."""

    home: Path
    said: dict[str, str]
    gold: dict[str, int]
    rate: dict[str, dict[str, float]]  # text -> model -> P(right)
    observed: Sequence[str]
    applied: Sequence[str]

    @property
    def fitted(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.said["fit"])
        return found


def apportion(home: Path, *arguments: str) -> str:
    """A command in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "router", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def stranger(world, tmp_path_factory) -> Iterator[Stranger]:
    """init, collect, grade and fit against two servers that play models nobody has labels for."""
    home: Path = tmp_path_factory.mktemp("stranger")
    made = world.make_world(tmp_path_factory.mktemp("models") / "world", LABELLED + OBSERVED + APPLIED, SEED)
    texts = [query.text for query in made.queries]
    (home / "queries.jsonl").write_text(
        "".join(json.dumps({"query": text}) + "\n" for text in texts[:LABELLED])
    )
    played = ("--recording", str(made.folder), "--made-up", "--pace", PACE)
    said = {}
    with StubProcess(*played, "--model", "small") as small, StubProcess(*played, "--model", "large") as large:
        backends = ("--backend", f"small={small.url}", "--backend", f"large={large.url}")
        dollars = ("--gpu-dollars-per-hour", "small=0.5", "--gpu-dollars-per-hour", "large=4")
        said["init"] = apportion(home, "init", *backends, *dollars, "--seconds", "5")
        files = ("--queries", "queries.jsonl", "--out", "recording", "--max-tokens", "128")
        said["collect"] = apportion(home, "collect", *backends, *files)
        said["grade"] = apportion(
            home, "grade", "--recording", "recording", "--verifier", "agrees", "--reference", "large"
        )
        fitted = ("--recording", "recording", "--config", "router.toml", "--out", "bundle", "--no-curve")
        said["fit"] = apportion(home, "fit", *fitted, "--json")
        yield Stranger(
            home,
            said,
            made.gold,
            {query.text: query.rate for query in made.queries},
            texts[LABELLED : LABELLED + OBSERVED],
            texts[LABELLED + OBSERVED :],
        )


def configured(stranger: Stranger, **changes: object) -> Path:
    """The router.toml that `init` wrote, with some keys as the stranger would set them."""
    path = stranger.home / "router.toml"
    text = path.read_text()
    for key, value in {"http_listen": "127.0.0.1:0", **changes}.items():
        text, count = re.subn(rf"(?m)^(# )?{key} = [^#\n]*", f"{key} = {json.dumps(value)}  ", text, count=1)
        assert count == 1, f"init wrote no line {key} = …"
    path.write_text(text)
    return path


def half(stranger: Stranger) -> dict[str, Any]:
    """The row of the table that saves about half of what the dearest one saves."""
    points = [point for point in stranger.fitted["outlook"]["points"] if point["over_random_mix"]]
    most = max(point["saving"]["mean"] for point in points)
    row: dict[str, Any] = min(points, key=lambda point: abs(point["saving"]["mean"] - most / 2))
    return row


async def ask(address: str, texts: Sequence[str], plan: str = "") -> list[Reply]:
    """All queries, some at a time."""
    gate = asyncio.Semaphore(8)
    async with Client(address) as client:

        async def one(number: int, text: str) -> Reply:
            async with gate:
                return await client.generate(
                    text, request_id=f"{plan}-{number}", constraints=Constraints(plan=plan), timeout_s=60.0
                )

        return list(await asyncio.gather(*(one(number, text) for number, text in enumerate(texts))))


@pytest.mark.timeout(900)
def test_the_fit_ends_in_what_would_have_been_saved_at_what_risk(stranger):
    outlook = stranger.fitted["outlook"]
    assert (outlook["reference"], outlook["cheapest"]) == ("large", "small")
    assert outlook["labelled"] == LABELLED
    savings = [point["saving"]["mean"] for point in outlook["points"]]
    assert len(savings) >= 3
    assert savings == sorted(savings)  # a higher price saves more
    for point in outlook["points"]:
        for figure in ("saving", "quality_difference", "risk"):
            assert point[figure]["lo"] < point[figure]["mean"] < point[figure]["hi"]


@pytest.mark.timeout(900)
async def test_an_observed_service_is_reported_on(stranger, server_of):
    config = configured(stranger, bundle="bundle", mode="observe", price=half(stranger)["price"])
    server = server_of(config)
    assert server.router, server.log
    replies = await ask(server.router, stranger.observed)
    assert {reply.decision.plan for reply in replies} == {"large"}
    assert server.stop() == 0
    found = json.loads(apportion(stranger.home, "report", "--since", "1d", "--json"))
    assert found["observe"]["queries"] == OBSERVED
    assert found["observe"]["labelled"] == LABELLED
    assert (
        found["observe"]["saving"]["lo"]
        < found["observe"]["saving"]["mean"]
        < found["observe"]["saving"]["hi"]
    )


@pytest.mark.timeout(900)
async def test_applied_it_beats_the_random_mix_at_equal_cost_by_the_truth(stranger, server_of):
    config = configured(stranger, bundle="bundle", mode="apply", price=half(stranger)["price"])
    server = server_of(config)
    assert server.router, server.log
    texts = stranger.applied
    chosen = await ask(server.router, texts)
    cost = {plan: await ask(server.router, texts, plan) for plan in ("small", "large")}
    assert not any(reply.decision.degraded for reply in chosen)
    assert len({reply.decision.plan for reply in chosen}) >= 3
    right = [
        reply.text.endswith(f"Answer: {stranger.gold[text]}")
        for reply, text in zip(chosen, texts, strict=True)
    ]
    spent = np.mean([reply.usage.cost_exact for reply in chosen])
    low, high = (np.mean([reply.usage.cost_exact for reply in cost[plan]]) for plan in ("small", "large"))
    assert low < spent < high
    share = (spent - low) / (high - low)
    mixed = {plan: np.mean([stranger.rate[text][plan] for text in texts]) for plan in ("small", "large")}
    assert np.mean(right) > (1 - share) * mixed["small"] + share * mixed["large"]

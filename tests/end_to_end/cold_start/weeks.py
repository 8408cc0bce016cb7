"""One cold start and two weeks in this process: fit on labelled queries, observe one week, apply the next.

The allocator, the shadow runs, the log, the fit and the report are those of the service; only the model servers are
played from the world's recording, and the clock is made to run through a week.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from predictors.observation import Constraints
from router.__main__ import commands
from router.assemble import Service, assemble
from router.backends.recorded import Recorded
from router.config import BackendConfig, Config
from router.domain.events import Done
from router.domain.options import Options
from router.recording import Recording
from training.fit.from_recordings import fit
from training.fit.rows import rows_of
from training.plan_outcomes import reward_of
from training.replay_run import OneRecording, recorded_query
from training.report.facts import report
from training.report.rows import read_log

WEEK_S = 7 * 86_400.0
PLANS: list[dict[str, Any]] = [  # as `apportion init` writes them
    {"name": "small", "stages": [{"backend": "small"}]},
    {"name": "large", "stages": [{"backend": "large"}]},
    {
        "name": "small-vote",
        "stages": [{"backend": "small", "max_samples": 4, "width": 4, "stop": "agreement"}],
    },
    {
        "name": "large-vote",
        "stages": [{"backend": "large", "max_samples": 4, "width": 4, "stop": "agreement"}],
    },
    {
        "name": "cascade",
        "stages": [
            {"backend": "small", "stop": {"kind": "confident", "threshold": 0.8}},
            {"backend": "large"},
        ],
    },
]
SHADOW = 0.2  # of what the reference costs in a week: the budget of shadow runs
POLICY = {"kind": "softmax", "explore": 0.05, "temperature": 0.1, "floor": 0.005}


@dataclass(frozen=True, slots=True)
class Realised:
    """What `apply` made of a week, and what the reference would have: the figures that a report predicts."""

    cost: float  # $ per 1,000 queries
    saving: float  # percent
    quality: float  # [0, 1]
    difference: float  # points


@dataclass(frozen=True, slots=True)
class Weeks:
    """What was predicted from the observed week, and what came of it."""

    predicted: dict[str, Any]  # `observe` of the report
    realised: Realised  # under apply, by as many other queries


def label(folder: Path) -> None:
    """`apportion grade --verifier agrees`: the majority of the large model's answers stands in for gold."""
    arguments = ["grade", "--recording", str(folder), "--verifier", "agrees", "--reference", "large"]
    commands().main(args=arguments, prog_name="apportion", standalone_mode=False)


def config_for(recording: Recording, ids: Sequence[str], seed: int) -> Config:
    """Priced so that on average a dollar buys as much as the large model's advantage costs."""
    rows = rows_of([recording], ids)
    small, large = (recording.backends.index(name) for name in ("small", "large"))
    seen = recording.columns
    cost = [float(seen.cost[seen.backend == place].mean()) for place in (small, large)]
    right = np.nanmean(rows.reward, axis=0)
    gain = max(0.02, float(right[rows.backends.index("large")] - right[rows.backends.index("small")]))
    prices = {
        name: {
            "kind": "recorded",
            "price_in": price.price_in,
            "price_out": price.price_out,
            "logprobs": True,
            "max_tokens": 128,
        }
        for name, price in recording.prices.items()
    }
    raw: dict[str, Any] = {
        "backends": prices,
        "plans": PLANS,
        "policy": POLICY,
        "reference": "large",
        "untrained": "cascade",
    }
    raw |= {"price": gain / (cost[1] - cost[0]), "seed": seed}
    return msgspec.convert(raw, Config)


def run_weeks(folder: Path, home: Path, seed: int, labelled: int, week: int) -> Weeks:
    """`folder`: a labelled recording of `labelled` + 2 `week` queries; `home`: an empty folder for bundle and log."""
    recording = Recording.load(folder)
    ids = [query.query_id for query in recording.queries]
    first, second = ids[labelled : labelled + week], ids[labelled + week : labelled + 2 * week]
    config = config_for(recording, ids[:labelled], seed)
    card = fit([recording], ids[:labelled], config, seed, home / "bundle")
    asyncio.run(_observe(config, recording, home, first))
    found = report(read_log(home / "log.db", -math.inf, math.inf), labelled=card.counts["queries"])
    return Weeks(found["observe"], asyncio.run(_applied(config, recording, home, second)))


class Clock:
    """Seconds since the week began; each query takes its share of the week."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def served(config: Config, recording: Recording, home: Path, clock: Clock, **more: Any) -> Service:
    """The service with its bundle, before backends played from the recording."""
    shelf = OneRecording(recording)
    changed = msgspec.structs.replace(config, bundle=str(home / "bundle"), **more)
    backends = {
        name: Recorded(name, BackendConfig(kind="recorded", recording=recording.name, logprobs=True), shelf)
        for name in config.backends
    }
    return assemble(
        changed, base=home, backends=backends, replica=str(more["mode"]), monotonic_s=clock, wall_s=clock
    )


async def _observe(config: Config, recording: Recording, home: Path, ids: Sequence[str]) -> None:
    from router.config import ShadowConfig, StoreConfig

    clock = Clock()
    large = recording.columns.backend == recording.backends.index("large")
    dollars = SHADOW * len(ids) * float(recording.columns.cost[large].mean())
    service = served(
        config,
        recording,
        home,
        clock,
        mode="observe",
        shadow=ShadowConfig(share=0.5, dollars=dollars, window_s=WEEK_S),
        store=StoreConfig(sqlite="log.db", keep="off"),
    )
    for query_id in ids:
        clock.now += WEEK_S / len(ids)
        await _answer(service, recording, query_id, Constraints())
        while service.shadows is not None and service.shadows.running:  # noqa: ASYNC110 (no wall clock: turns)
            await asyncio.sleep(0)
    await service.close()


async def _applied(config: Config, recording: Recording, home: Path, ids: Sequence[str]) -> Realised:
    from router.config import StoreConfig

    clock = Clock()
    store = StoreConfig(sqlite=":memory:", keep="off")
    service = served(config, recording, home, clock, mode="apply", store=store)
    cost, reward = np.zeros((len(ids), 2)), np.zeros((len(ids), 2))
    for row, query_id in enumerate(ids):
        clock.now += WEEK_S / len(ids)
        for column, plan in enumerate(("", "large")):
            done = await _answer(service, recording, query_id, Constraints(plan=plan))
            cost[row, column] = done.decision.cost
            reward[row, column] = reward_of(config, recording, recording.index_of(query_id), done.answers[0])
    await service.close()
    return Realised(
        cost=float(cost[:, 0].mean()) * 1e-3,
        saving=100 * (1 - float(cost[:, 0].sum() / cost[:, 1].sum())),
        quality=float(reward[:, 0].mean()),
        difference=100 * float((reward[:, 0] - reward[:, 1]).mean()),
    )


async def _answer(service: Service, recording: Recording, query_id: str, wanted: Constraints) -> Done:
    query = recorded_query(recording, recording.index_of(query_id), wanted)
    done: Done | None = None
    async for event in service.answers.run(query, Options()):
        if isinstance(event, Done):
            done = event
    assert done is not None
    return done

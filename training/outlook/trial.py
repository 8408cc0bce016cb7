"""What every plan gives on queries that a bundle was not fitted on: all plans are run, by the live allocator.

One row per query and one column per plan, so that any price can be looked at afterwards without running anything
again: the policy's probabilities at a price come from the logged forecasts, by the live policy itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictors import Predictions
from predictors.observation import Constraints
from router.config import Config
from router.domain.choice import Situation
from router.domain.options import Options
from router.errors import NoPlan
from router.first_decision.choose import Chooser, Chosen, checked, default_index
from router.recording import Recording
from training.cached_predictions import cache_predictions
from training.plan_outcomes import answered, recorded, reward_of
from training.replay_run import recorded_query, recorded_service
from training.utility_rule import best_plan

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """n queries, p plans; money in micro-dollars. NaN: the plan could not be run, or its answer has no label."""

    plans: tuple[str, ...]
    chooser: Chooser = field(compare=False, repr=False)
    chosen: tuple[Chosen, ...] = field(compare=False, repr=False)  # (n,) what the live chooser went by
    reward: Floats = field(compare=False)  # (n, p) in [0, 1]
    cost: Floats = field(compare=False)  # (n, p) really used
    expected: Floats = field(compare=False)  # (n, p) forecast quality; -inf: not known or not feasible
    forecast: Floats = field(compare=False)  # (n, p) forecast cost; NaN: not feasible

    def __len__(self) -> int:
        return len(self.chosen)

    def probabilities(self, price: float) -> Floats:
        """What the configured policy would draw at `price` (quality per dollar), (n, p); rows sum to 1."""
        places = {name: place for place, name in enumerate(self.plans)}
        found = np.zeros((len(self), len(self.plans)))
        chooser = self.chooser
        for row, chosen in enumerate(self.chosen):
            default = default_index(chosen.forecasts, chooser.menu)
            at = Situation(chosen.forecasts, chosen.look.signals, price, chooser.latency_price, None, default)
            shares = checked(chooser.policy.probabilities(at), len(chosen.forecasts), chooser.policy_name)
            for forecast, share in zip(chosen.forecasts, shares, strict=True):
                found[row, places[forecast.plan.name]] = share
        return found

    def forecast_cost(self, price: float) -> float:
        """The expected cost per query of always taking the best plan at `price`; NaN where nothing was learned."""
        known = np.isfinite(self.expected).any(axis=1)
        if not known.any():
            return float("nan")
        cost = np.where(np.isfinite(self.expected), self.forecast, np.inf)[known]
        rows = np.arange(int(known.sum()))
        finite = np.where(np.isfinite(cost), cost, 0.0)
        return float(cost[rows, best_plan(self.expected[known], finite * 1e-6, price)].mean())


def joined(parts: Sequence[Trial]) -> Trial:
    """Trials of other queries as one; at least one part, all of one configuration."""
    first = parts[0]
    return Trial(
        first.plans,
        first.chooser,
        tuple(chosen for part in parts for chosen in part.chosen),
        np.concatenate([part.reward for part in parts]),
        np.concatenate([part.cost for part in parts]),
        np.concatenate([part.expected for part in parts]),
        np.concatenate([part.forecast for part in parts]),
    )


def try_plans(
    config: Config, recordings: Sequence[Recording], ids: Sequence[tuple[int, str]], predictions: Predictions
) -> Trial:
    """Run all plans of the configuration on `ids` (recording, query id), at least one.

    Queries on whose recorded backends no plan can run are left out.
    """
    return asyncio.run(_try_all(config, recordings, ids, predictions))


async def _try_all(
    config: Config, recordings: Sequence[Recording], ids: Sequence[tuple[int, str]], predictions: Predictions
) -> Trial:
    parts = []
    for number in dict.fromkeys(number for number, _ in ids):
        mine = [query_id for place, query_id in ids if place == number]
        parts.append(await _try(config, recordings[number], mine, predictions))
    return joined(parts)


async def _try(config: Config, recording: Recording, ids: Sequence[str], predictions: Predictions) -> Trial:
    plain = msgspec.structs.replace(config, bundle="")
    service = recorded_service(plain, recording, predictions, Path(), whole=False)
    cache_predictions(service)
    plans = {name: place for place, name in enumerate(service.plans)}
    shape = len(ids), len(plans)
    reward, cost = np.full(shape, np.nan), np.full(shape, np.nan)
    expected, forecast = np.full(shape, -np.inf), np.full(shape, np.nan)
    chosen = []
    try:
        for query_id in ids:
            place = recording.index_of(query_id)
            missing = tuple(name for name in config.backends if not recorded(config, recording, place, name))
            asked = recorded_query(recording, place, Constraints(denied_backends=missing))
            try:
                chosen.append(service.allocator.estimate(asked, Options()))
            except NoPlan:
                continue
            row = len(chosen) - 1
            for seen in chosen[-1].forecasts:
                column = plans[seen.plan.name]
                forecast[row, column] = seen.cost
                expected[row, column] = -np.inf if seen.quality is None else seen.quality
                done = await answered(
                    service, recorded_query(recording, place, Constraints(plan=seen.plan.name))
                )
                if done is not None and done.decision.plan == seen.plan.name:
                    cost[row, column] = done.decision.cost
                    reward[row, column] = reward_of(config, recording, place, done.answers[0])
    finally:
        await service.close()
    chooser = service.allocator.books.chooser
    ran = slice(len(chosen))
    return Trial(tuple(plans), chooser, tuple(chosen), reward[ran], cost[ran], expected[ran], forecast[ran])

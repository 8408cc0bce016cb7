"""What every plan would have given on recorded queries: the live allocator, run over recorded backends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictors import Predictions
from predictors.observation import Constraints, Query, Sample
from router.assemble import Service
from router.config import Config
from router.domain.events import Done
from router.domain.options import Options
from router.domain.plan import Plan
from router.errors import RouterError
from router.first_decision.draw import unit
from router.recording import Recording
from training.cached_predictions import cache_predictions
from training.replay_run import recorded_query, recorded_service

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlanOutcomes:
    """One row per query. NaN: the plan could not be run on it (a backend was not recorded, or no reward)."""

    plans: tuple[str, ...]
    stages: tuple[int, ...]  # of each plan
    reward: Floats = field(compare=False)  # (n, plans) of the selected answer, mean over the orders
    samples: Floats = field(compare=False)  # (n, sum of stages) finished samples of each stage, plan by plan


def replay_plans(
    config: Config,
    recording: Recording,
    query_ids: Sequence[str],
    plans: Sequence[Plan],
    predictions: Predictions,
    orders: int = 1,
) -> PlanOutcomes:
    """Run each of `plans` on each query; rewards are read only after the plan has ended.

    `orders`: in how many orders a query's samples are drawn; what the plans gave is the mean over these.
    """
    return asyncio.run(_replay(config, recording, query_ids, plans, predictions, orders))


async def _replay(
    config: Config,
    recording: Recording,
    query_ids: Sequence[str],
    plans: Sequence[Plan],
    predictions: Predictions,
    orders: int,
) -> PlanOutcomes:
    stages = tuple(len(plan.stages) for plan in plans)
    reward = np.full((len(query_ids), len(plans)), np.nan)
    samples = np.full((len(query_ids), sum(stages)), np.nan)
    unlearned = msgspec.structs.replace(config, bundle="")
    service = recorded_service(unlearned, recording, predictions, Path(), whole=False)
    cache_predictions(service)
    first = np.append(0, np.cumsum(stages))
    try:
        for row, query_id in enumerate(query_ids):
            place = recording.index_of(query_id)
            for column, plan in enumerate(plans):
                if not all(recorded(config, recording, place, backend) for backend in plan.backends):
                    continue
                runs = [
                    run
                    for order in range(orders)
                    if (run := await _run(service, config, recording, place, plan, order)) is not None
                ]
                if runs:
                    gave = np.array(runs)
                    labelled = gave[np.isfinite(gave[:, 0]), 0]
                    reward[row, column] = labelled.mean() if len(labelled) else np.nan
                    samples[row, first[column] : first[column + 1]] = gave[:, 1:].mean(axis=0)
    finally:
        await service.close()
    return PlanOutcomes(tuple(plan.name for plan in plans), stages, reward, samples)


async def _run(
    service: Service, config: Config, recording: Recording, place: int, plan: Plan, order: int
) -> list[float] | None:
    """Reward and finished samples of each stage, with the query's samples in one order; None without an answer."""
    query = recorded_query(recording, place, Constraints(plan=plan.name))
    if order:  # the first is that of a replay
        seed = int(unit(order, "order", query.request_id) * 2**31)
        query = replace(query, sampling=replace(query.sampling, seed=seed))
    done = await answered(service, query)
    if done is None:
        return None
    drawn = [sample.stage for sample in done.samples if sample.finished]
    counts = [float(drawn.count(stage)) for stage in range(len(plan.stages))]
    return [reward_of(config, recording, place, done.answers[0]), *counts]


def recorded(config: Config, recording: Recording, place: int, backend: str) -> bool:
    """Whether a configured backend has a sample for the query at `place`."""
    name = config.backends[backend].recorded_as or backend
    if name not in recording.backends:
        return False
    rows = recording.rows(place, name)
    return bool(rows.stop > rows.start)


async def answered(service: Service, query: Query) -> Done | None:
    """The live allocator's answer; None where there is none."""
    try:
        async for event in service.allocator.run(query, Options(explore=False)):
            if isinstance(event, Done):
                return event if event.answers else None
    except RouterError:  # infeasible for this query, or its samples failed
        return None
    return None


def reward_of(config: Config, recording: Recording, place: int, sample: Sample) -> float:
    """The recorded reward of a sample that was drawn, NaN where it has none."""
    name = config.backends[sample.backend].recorded_as or sample.backend
    columns = recording.columns
    if sample.prefix_tokens is None:
        for row in range(*recording.rows(place, name).indices(len(columns))):
            if columns.sample_idx[row] == sample.index:
                return float(columns.reward[row])
        return float("nan")
    for snapshot in recording.snapshots(recording.queries[place].query_id, name, sample.index):
        if snapshot.prefix_tokens == sample.prefix_tokens:
            return float(columns.reward[snapshot.row])
    return float("nan")


def stage_columns(outcomes: PlanOutcomes) -> Mapping[str, int]:
    """Signal name of every stage -> its column of `samples`."""
    names = [
        f"plan_samples/{plan}/{stage}"
        for plan, count in zip(outcomes.plans, outcomes.stages, strict=True)
        for stage in range(count)
    ]
    return {name: place for place, name in enumerate(names)}

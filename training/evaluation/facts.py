"""The numbers of an evaluation's page: what decisions gave, and what else the same queries could have given.

Everything is over queries where the answer has a reward. A backend alone gives the mean of its samples. `regret` is
the best backend's mean reward of each query less what was given (somebody who knows every outcome; no policy reaches
0). `risk` is the share of all queries that were not answered by the best single backend, wrongly, and that it answers
rightly more often than not. `cost_of_pass` is what a right answer costs (Erol et al. 2025).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.calibration import brier_skill, ece_debiased
from router.recording import Recording
from training.decision_rows import DecisionRows, answered_reward, answering_row
from training.errors import NotEnoughData
from training.figures.spread import Spread, student_95

Floats = NDArray[np.float64]
FEWEST = 50  # queries, for a figure of calibration
BINS = 10


@dataclass(frozen=True, slots=True)
class Alone:
    """One backend for all queries."""

    name: str
    cost: float  # $ per 1,000 queries
    reward: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of one signal: what was predicted and what came true, in bins of equal mass."""

    signal: str
    predicted: Floats = field(compare=False)  # (bins,)
    observed: Floats = field(compare=False)
    ece: float  # without what chance alone would show
    brier_skill: float
    queries: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one subject at one operating point. Rewards are in [0, 1], costs $ per 1,000 queries."""

    name: str
    query: NDArray[np.int32] = field(compare=False)  # (n,) that have a reward
    rewards: Floats = field(compare=False)  # (n,)
    costs: Floats = field(compare=False)  # (n,) dollars
    unlabelled: int
    reward: Spread
    cost: float
    cost_of_pass: float | None  # $ per 1,000 right answers; None: nothing was right
    plans: tuple[tuple[str, float], ...]  # with their shares, the largest first
    alone: tuple[Alone, ...]
    oracle: Alone
    risk: float | None  # None: no backend has all queries
    regret: tuple[tuple[str, int, float, float], ...]  # (task, queries, regret, reward), the largest first
    zones: tuple[tuple[str, float, float], ...]  # (who is right, share of queries, reward given)
    reliability: tuple[Reliability, ...]


def facts(rows: DecisionRows, recording: Recording) -> Facts:
    """Raises `NotEnoughData` where no answer has a reward."""
    answered = answering_row(rows, recording)
    reward = answered_reward(rows, recording)
    known: NDArray[np.bool_] = ~np.isnan(reward)
    if not known.any():
        raise NotEnoughData(f"{recording.name}: none of the {len(rows)} answers has a reward")
    query, reward, cost = rows.query[known], reward[known], rows.cost[known]
    means, costs = of_backends(recording, query)
    gaps = np.count_nonzero(np.isnan(means), axis=0)
    alone = tuple(
        Alone(name, 1000 * float(costs[:, place].mean()), float(means[:, place].mean()))
        for place, name in enumerate(recording.backends)
        if gaps[place] == 0
    )
    filled = np.where(np.isnan(means), -np.inf, means)
    best = filled.max(axis=1)
    cheapest_best = np.where(filled >= best[:, None], costs, np.inf).min(axis=1)
    share = np.bincount(rows.plan, minlength=len(rows.plans)) / len(rows)
    order = np.argsort(-share, kind="stable")
    backend = recording.columns.backend[answered[known]].astype(np.int32)
    return Facts(
        name=f"{rows.key.subject} {rows.key.operating_point}".strip(),
        query=query,
        rewards=reward,
        costs=cost,
        unlabelled=int(len(known) - known.sum()),
        reward=interval(reward),
        cost=1000 * float(cost.mean()),
        cost_of_pass=1000 * float(cost.sum() / reward.sum()) if reward.sum() > 0 else None,
        plans=tuple((rows.plans[place], float(share[place])) for place in order if share[place] > 0),
        alone=alone,
        oracle=Alone("oracle", 1000 * float(cheapest_best.mean()), float(best.mean())),
        risk=_risk(recording, alone, backend, reward, means),
        regret=_regret(recording, query, best - reward, reward),
        zones=_zones(means, reward),
        reliability=_reliability(rows, known, recording, backend, reward),
    )


def interval(values: Floats) -> Spread:
    """The mean with its 95 % interval (Student's t)."""
    n, mean = len(values), float(values.mean())
    sd = float(values.std(ddof=1)) if n > 1 else 0.0
    half = student_95(n - 1) * sd / n**0.5 if n > 1 else 0.0
    return Spread(mean, sd, mean - half, mean + half)


def changed(now: Facts, before: Facts) -> tuple[Spread, Spread, int] | None:
    """Reward (points) and cost (percent of the former mean), now less before, on queries of both; None: none are."""
    _, here, there = np.intersect1d(now.query, before.query, assume_unique=True, return_indices=True)
    if len(here) < 2:
        return None
    reward = 100 * (now.rewards[here] - before.rewards[there])
    was = float(before.costs[there].mean())
    cost = 100 * (now.costs[here] - before.costs[there]) / was if was > 0 else np.zeros(len(here))
    return interval(reward), interval(cost), len(here)


def of_backends(recording: Recording, query: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Mean reward and cost (dollars) of each backend's finished samples of each query, (n, B); NaN where none is."""
    seen, backends = recording.columns, len(recording.backends)
    taken = seen.finished & ~np.isnan(seen.reward)
    cell = seen.query[taken].astype(np.int64) * backends + seen.backend[taken]
    size = len(recording.queries) * backends
    count = np.bincount(cell, minlength=size).astype(float)
    count[count == 0] = np.nan
    found = [
        (np.bincount(cell, values[taken], minlength=size) / count).reshape(-1, backends)[query]
        for values in (seen.reward.astype(float), seen.cost)
    ]
    return found[0], found[1]


def _risk(
    recording: Recording, alone: tuple[Alone, ...], backend: NDArray[np.int32], reward: Floats, means: Floats
) -> float | None:
    if not alone:
        return None
    best = recording.backends.index(max(alone, key=lambda one: one.reward).name)
    return float(np.mean((backend != best) & (reward < 0.5) & (means[:, best] > 0.5)))


def _regret(
    recording: Recording, query: NDArray[np.int32], regret: Floats, reward: Floats
) -> tuple[tuple[str, int, float, float], ...]:
    tasks = np.array([recording.queries[place].task or "no task" for place in query])
    found = [
        (str(task), int(mine.sum()), float(regret[mine].mean()), float(reward[mine].mean()))
        for task in np.unique(tasks)
        if (mine := tasks == task).any()
    ]
    return tuple(sorted(found, key=lambda one: -one[1] * one[2]))


def _zones(means: Floats, reward: Floats) -> tuple[tuple[str, float, float], ...]:
    """Where compute can help at all: all backends right, some, none (more often than not)."""
    right = np.where(np.isnan(means), False, means > 0.5)
    there = ~np.isnan(means)
    every, some = (right | ~there).all(axis=1), right.any(axis=1)
    zones = (("all backends", every), ("some", some & ~every), ("none", ~some))
    return tuple(
        (name, float(mine.mean()), float(reward[mine].mean()) if mine.any() else 0.0) for name, mine in zones
    )


def _reliability(
    rows: DecisionRows,
    known: NDArray[np.bool_],
    recording: Recording,
    backend: NDArray[np.int32],
    reward: Floats,
) -> tuple[Reliability, ...]:
    """Of P(right) of the backend that answered, before it did; and of the answer's confidence, where it was logged."""
    before = np.full(len(reward), np.nan)
    for place, name in enumerate(recording.backends):
        mine = backend == place
        before[mine] = rows.signals.column(f"p_correct/{name}")[known][mine]
    after = rows.signals.column("sample_confidence")[known]
    found = []
    for name, predicted in (("P(right), before the answer", before), ("confidence of the answer", after)):
        there = ~np.isnan(predicted)
        if there.sum() < FEWEST:
            continue
        p, y = predicted[there], reward[there]
        order = np.argsort(p, kind="stable")
        parts = np.array_split(order, BINS)
        rng = np.random.default_rng(0)
        found.append(
            Reliability(
                name,
                np.array([p[part].mean() for part in parts]),
                np.array([y[part].mean() for part in parts]),
                ece_debiased(p, y, rng),
                brier_skill(p, y),
                int(there.sum()),
            )
        )
    return tuple(found)

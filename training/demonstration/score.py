"""The process that alone reads held-out rewards: `python -m training.demonstration.score JOB.json RESULT.json`.

It gets the decisions of one split, made by processes that never saw the recording it scores with, and holds them
against the ways to route that need no service. Baselines are scored by the mean over all recorded samples; where they
are compared with Apportion they spend what it spent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from router.configuration.file import load
from router.first_decision.draw import unit
from router.recording import Recording
from training.decision_rows import DecisionRows, RowKey, answering_row
from training.decisions_file import read_decisions
from training.menu import cheapest_first
from training.replay_run import as_rows, replay
from training.suites.routing.decided import Decided
from training.suites.routing.knn import knn
from training.suites.routing.lookup_task import lookup_task
from training.suites.routing.problem import Fold, routing_problem
from training.suites.routing.zero_router import zero_router
from training.utility_rule import best_plan

Point = tuple[float, float]  # dollars per query, quality


class Job(msgspec.Struct, frozen=True):
    """One split."""

    recording: str
    seed: int
    fit_ids: list[str]
    test_ids: list[str]
    config: str
    labelled: str  # the recording that the bundle was fitted on
    prices: dict[str, float]  # label -> shadow price, quality per dollar
    decisions: dict[str, str]  # label -> Parquet file
    plans_tried_on: int = 150  # queries of each half that every fixed plan is run on


class Row(msgspec.Struct, frozen=True):
    """A line of the table."""

    quality: float
    cost: float  # dollars per 1,000 queries
    samples: float  # per query
    saving: float  # percent of always-large's cost


class Result(msgspec.Struct, frozen=True):
    """What is known of one split."""

    rows: dict[str, Row]
    gains: dict[str, dict[str, float]]  # price -> baseline -> points of quality at the same cost
    curves: dict[str, list[Point]]  # baseline -> $ per 1,000 queries, quality
    rewards: dict[str, dict[str, float]]  # price -> query id -> reward
    fixed_plan: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Operating points by cost, with straight lines between them: what mixing two neighbours gives."""

    cost: NDArray[np.float64] = field(compare=False)  # dollars per query, rising
    quality: NDArray[np.float64] = field(compare=False)

    @classmethod
    def of(cls, points: Sequence[Point]) -> Curve:
        """Points in any order."""
        at = np.array(sorted(points))
        return cls(at[:, 0], at[:, 1])

    def at(self, cost: float) -> float:
        """The quality at a cost; the dearest point's beyond it, the cheapest point's below."""
        return float(np.interp(cost, self.cost, self.quality))


def score(job: Job) -> Result:
    """Everything about one split."""
    recording = Recording.load(job.recording)
    problem = routing_problem(recording, job.seed)
    ids = [recording.queries[place].query_id for place in problem.queries]
    train = np.flatnonzero(np.isin(ids, job.fit_ids))
    fold = Fold(problem, 0, train, np.flatnonzero(np.isin(ids, job.test_ids)))
    reward, cost = problem.reward[fold.test], problem.cost[fold.test]
    small, large = fold.cheapest, fold.best
    dear = float(cost[:, large].mean())

    def row(quality: float, spent: float, samples: float) -> Row:
        return Row(quality, 1000 * spent, samples, 100 * (1 - spent / dear))

    rows = {
        "always small": row(float(reward[:, small].mean()), float(cost[:, small].mean()), 1.0),
        "always large": row(float(reward[:, large].mean()), dear, 1.0),
    }
    baselines = {name: Curve.of(points) for name, points in _curves(fold).items()}
    gains: dict[str, dict[str, float]] = {}
    rewards: dict[str, dict[str, float]] = {}
    spent_at: dict[str, float] = {}
    for label, path in job.decisions.items():
        (decided,) = read_decisions(path, {recording.name: recording})
        got = recording.columns.reward[answering_row(decided, recording)].astype(np.float64)
        spent_at[label] = float(decided.cost.mean())
        quality = float(got.mean())
        rows[f"Apportion {label}"] = row(quality, spent_at[label], len(decided.sample_row) / len(decided))
        gains[label] = {
            name: 100 * (quality - curve.at(spent_at[label])) for name, curve in baselines.items()
        }
        rewards[label] = {
            recording.queries[place].query_id: value
            for place, value in zip(decided.query, got.tolist(), strict=True)
        }
    middle = list(job.prices)[len(job.prices) // 2]
    for name, curve in baselines.items():
        rows[name] = row(curve.at(spent_at[middle]), spent_at[middle], 1.0)
    fixed, plan_row = _best_fixed(job, recording, job.prices[middle])
    rows["best fixed plan"] = row(plan_row.quality, plan_row.cost, plan_row.samples)
    known = best_plan(reward, cost, job.prices[middle])[:, None]
    took = np.take_along_axis(reward, known, axis=1), np.take_along_axis(cost, known, axis=1)
    rows["oracle"] = row(float(took[0].mean()), float(took[1].mean()), 1.0)
    baselines["oracle"] = _oracle(reward, cost)
    curves = {
        name: [(1000 * x, y) for x, y in zip(curve.cost.tolist(), curve.quality.tolist(), strict=True)]
        for name, curve in baselines.items()
    }
    return Result(rows, gains, curves, rewards, fixed)


def _curves(fold: Fold) -> dict[str, list[Point]]:
    """Operating points of each baseline on the held-out half, its thresholds set on the fit half."""
    reward, cost = fold.problem.reward[fold.test], fold.problem.cost[fold.test]
    ends = [(float(cost[:, b].mean()), float(reward[:, b].mean())) for b in (fold.cheapest, fold.best)]
    found = {"random mix": ends, "Zero router": _points(zero_router(fold)["zero_router"], reward, cost)}
    told = lookup_task(fold)
    if told:
        found["lookup by kind"] = _points(told["lookup:task"], reward, cost)
    return found | {"kNN": _points(knn(fold)["knn"], reward, cost)}


def _points(decided: Decided, reward: NDArray[np.float64], cost: NDArray[np.float64]) -> list[Point]:
    if decided.mix is not None:  # odds: the expectation, not one draw
        return list(
            zip(
                (decided.mix @ cost.mean(axis=0)).tolist(),
                (decided.mix @ reward.mean(axis=0)).tolist(),
                strict=True,
            )
        )
    everyone = np.arange(len(reward))
    return [
        (float(cost[everyone, row].mean()), float(reward[everyone, row].mean())) for row in decided.choice
    ]


def _oracle(reward: NDArray[np.float64], cost: NDArray[np.float64]) -> Curve:
    """The best backend of every query at a range of prices, its recorded mean reward being known."""
    spread = max(float(np.ptp(cost, axis=1).mean()), 1e-12)
    choices = [best_plan(reward, cost, price) for price in (0.0, *(np.geomspace(1e-3, 1e4, 120) / spread))]
    everyone = np.arange(len(reward))
    return Curve.of(
        [(float(cost[everyone, one].mean()), float(reward[everyone, one].mean())) for one in choices]
    )


def _best_fixed(job: Job, recording: Recording, price: float) -> tuple[str, Row]:
    """The plan with the highest utility on the fit half, and what it gives on the held-out half, run for real."""
    config, base = load(Path(job.config)), Path(job.config).parent
    labelled = Recording.load(job.labelled)
    cheapest = cheapest_first(recording)[0]

    def run(name: str, source: Recording, ids: list[str]) -> Row:
        fixed = msgspec.structs.replace(config, policy={"kind": "fixed", "plan": name})
        rows = as_rows(replay(fixed, source, ids, base=base), source, fixed, _KEY, cheapest)
        return _measured(rows, source)

    some = sorted(job.fit_ids, key=lambda name: unit(job.seed, "fixed plans", name))[: job.plans_tried_on]
    tried = {plan.name: run(plan.name, labelled, some) for plan in config.plans}
    best = max(tried, key=lambda name: tried[name].quality - price * tried[name].cost)
    return best, run(best, recording, job.test_ids)


_KEY = RowKey("demo", "", "fixed", 0, 0, "fixed")


def _measured(rows: DecisionRows, recording: Recording) -> Row:
    reward = recording.columns.reward[answering_row(rows, recording)]
    return Row(float(reward.mean()), float(rows.cost.mean()), len(rows.sample_row) / len(rows), 0.0)


def main(arguments: list[str]) -> None:
    """Read the job, write the result."""
    job = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Job)
    Path(arguments[1]).write_bytes(msgspec.json.encode(score(job)))


if __name__ == "__main__":
    main(sys.argv[1:])

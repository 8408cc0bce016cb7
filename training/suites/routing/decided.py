"""What a subject decided in one fold, compactly: plan per operating point and query; and the same as decision rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.decision_rows import DecisionRows, Named, RowKey
from training.suites.routing.problem import Problem


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The backends that are asked, in order; the last one's sample is the answer."""

    name: str
    backends: tuple[int, ...]  # index into Problem.backends


@dataclass(frozen=True, slots=True)
class Decided:
    """k operating points, n test queries."""

    points: tuple[str, ...]  # k labels
    plans: tuple[RoutePlan, ...]
    choice: NDArray[np.int16] = field(compare=False)  # (k, n) index into plans
    mix: NDArray[np.float64] | None = field(default=None, compare=False)  # (k, plans) odds; None: certain
    p_small_wrong: NDArray[np.float64] | None = field(default=None, compare=False)  # (n,)
    test: NDArray[np.int64] | None = field(default=None, compare=False)  # (n,) where it is not the fold's own


def single_plans(problem: Problem) -> tuple[RoutePlan, ...]:
    """One plan per backend, named after it, in the backends' order."""
    return tuple(RoutePlan(name, (place,)) for place, name in enumerate(problem.backends))


def as_rows(
    decided: Decided, problem: Problem, subject: str, fold: int, test: NDArray[np.int64]
) -> Iterator[DecisionRows]:
    """One block per operating point; `test` (n,) are places in the problem's arrays."""
    name, seed, seen = problem.recording.name, problem.seed, problem.recording.columns
    n, plans = len(test), decided.plans
    length = np.array([len(plan.backends) for plan in plans])
    steps = np.full((len(plans), int(length.max())), -1)
    for place, plan in enumerate(plans):
        steps[place, : length[place]] = plan.backends
    signals = {} if decided.p_small_wrong is None else {"p_small_wrong": decided.p_small_wrong}
    named = Named.dense(signals, n)
    for k, point in enumerate(decided.points):
        choice = decided.choice[k].astype(np.int32)
        taken = steps[choice]  # (n, longest)
        rows = problem.served_row[test[:, None], taken][taken >= 0]
        starts = np.concatenate(([0], np.cumsum(length[choice]))).astype(np.int32)
        yield DecisionRows(
            key=RowKey("routing", name, subject, seed, fold, point),
            query=problem.queries[test],
            plans=tuple(plan.name for plan in plans),
            plan=choice,
            samples_from=starts,
            sample_row=rows,
            answer=seen.answer[rows[starts[1:] - 1]],
            cost=np.add.reduceat(seen.cost[rows], starts[:-1]),
            probabilities=_odds(decided, k, choice),
            signals=named,
        )


def _odds(decided: Decided, k: int, choice: NDArray[np.int32]) -> Named:
    names, n = tuple(plan.name for plan in decided.plans), len(choice)
    if decided.mix is None:
        return Named(names, np.arange(n + 1, dtype=np.int32), choice, np.ones(n))
    some = np.flatnonzero(decided.mix[k] > 0).astype(np.int32)
    starts = np.arange(0, (n + 1) * len(some), len(some), dtype=np.int32)
    return Named(names, starts, np.tile(some, n), np.tile(decided.mix[k][some], n))

"""What a subject decided in one fold: plan per operating point and query; and the same as decision rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey
from training.suites.allocation.plays import Played
from training.suites.allocation.problem import NO_ROW, Problem
from training.suites.routing.problem import Fold


@dataclass(frozen=True, slots=True)
class Decided:
    """k operating points, n queries (in a fold: all, of which the test queries count)."""

    points: tuple[str, ...]  # k labels
    labels: tuple[str, ...]  # names of plans
    plan: NDArray[np.int16] = field(compare=False)  # (k, n) index into labels: the action
    path: NDArray[np.int16] = field(compare=False)  # (k, n) index into Played.shapes: what came of it

    def of(self, places: NDArray[np.int64]) -> Decided:
        """Of these queries only."""
        return Decided(self.points, self.labels, self.plan[:, places], self.path[:, places])


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the plans gave on the n test queries of a fold: as small as a worker can hand it back."""

    rows: NDArray[np.int32] = field(compare=False)  # (n, P, L)
    answer: NDArray[np.int32] = field(compare=False)  # (n, P)

    @classmethod
    def of(cls, played: Played, fold: Fold) -> Outcomes:
        """Of the test queries."""
        return cls(played.rows[fold.test], played.answer[fold.test])


def as_rows(
    decided: Decided,
    outcomes: Outcomes,
    problem: Problem,
    subject: str,
    fold: int,
    test: NDArray[np.int64],
) -> Iterator[DecisionRows]:
    """One block per operating point; `decided` and `outcomes` are of the queries at `test` (places in the problem)."""
    recording, seen = problem.recording, problem.recording.columns
    n = len(test)
    every = np.arange(n)
    for k, point in enumerate(decided.points):
        path, plan = decided.path[k], decided.plan[k].astype(np.int32)
        taken = outcomes.rows[every, path]  # (n, L)
        there = taken != NO_ROW
        starts = np.concatenate(([0], np.cumsum(there.sum(axis=1)))).astype(np.int32)
        rows = taken[there].astype(np.int64)
        answer = seen.answer[outcomes.answer[every, path]]
        yield DecisionRows(
            key=RowKey("allocation", recording.name, subject, problem.routing.seed, fold, point),
            query=problem.routing.queries[test],
            plans=decided.labels,
            plan=plan,
            samples_from=starts,
            sample_row=rows,
            answer=np.where(answer >= 0, answer, NO_ANSWER).astype(np.int32),
            cost=np.add.reduceat(seen.cost[rows], starts[:-1]),
            probabilities=Named(decided.labels, np.arange(n + 1, dtype=np.int32), plan, np.ones(n)),
            signals=Named.dense({}, n),
        )

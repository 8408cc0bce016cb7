"""What one subject decided in one split at one operating point; and the same as decision rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.decision_rows import DecisionRows, Named, RowKey
from training.sampling.problem import NO_VOTE, Problem
from training.sampling.runs import leaders

POINT = "verified@"  # with a budget: the operating points at which a perfect verifier tells what passed


@dataclass(frozen=True, slots=True)
class Decided:
    """Samples drawn for each of m measured queries, in the permutation of the split's number."""

    subject: str
    split: int
    point: str
    label: str  # the setting
    measured: NDArray[np.int64] = field(compare=False)  # (m,) places in the problem
    stops: NDArray[np.int16] = field(compare=False)  # (m,) 0 only where a verifier allocates
    # (m,) arrival of the sample that answers; None: the majority's
    speaks: NDArray[np.int64] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Order:
    """One permutation: what arrives, and which sample would answer after each."""

    rows: NDArray[np.int64] = field(compare=False)  # (n, N)
    leader: NDArray[np.int16] = field(compare=False)  # (n, N)

    @classmethod
    def of(cls, problem: Problem, local: NDArray[np.int16], number: int) -> Order:
        """`local`: the answers' numbers within their queries, by row."""
        rows = problem.order(number)
        return cls(rows, leaders(local[rows]))


def as_rows(decided: Decided, order: Order, problem: Problem, subject: str) -> DecisionRows:
    """One block; `subject` as it is printed."""
    seen, places = problem.recording.columns, decided.measured
    m, stops = len(places), decided.stops.astype(np.int64)
    drawn = np.arange(problem.most) < stops[:, None]
    starts = np.concatenate(([0], np.cumsum(stops))).astype(np.int32)
    taken = order.rows[places][drawn]
    last = np.maximum(stops - 1, 0)
    if decided.point.startswith(POINT):  # what passed answers, if anything did
        speaker = order.rows[places, last]
        silent = (stops == 0) | ~(seen.reward[speaker] >= 1)
    else:
        leader = order.leader[places, last] if decided.speaks is None else decided.speaks
        speaker = order.rows[places, leader]
        silent = np.zeros(m, np.bool_)
    answer = np.where(silent, NO_VOTE, seen.answer[speaker])
    return DecisionRows(
        key=RowKey(
            "sampling",
            problem.recording.name,
            subject,
            problem.seed,
            decided.split,
            decided.point,
            decided.split,
        ),
        query=problem.queries[places],
        plans=(decided.label,),
        plan=np.zeros(m, np.int32),
        samples_from=starts,
        sample_row=taken,
        answer=np.where(answer >= 0, answer, NO_VOTE).astype(np.int32),
        cost=np.asarray(
            np.bincount(np.repeat(np.arange(m), stops), seen.cost[taken], minlength=m), np.float64
        ),
        probabilities=Named(
            (decided.label,), np.arange(m + 1, dtype=np.int32), np.zeros(m, np.int32), np.ones(m)
        ),
        signals=Named.dense({}, m),
    )

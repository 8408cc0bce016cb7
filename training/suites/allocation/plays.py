"""What plans give on recorded samples, for all queries at once: the live allocator's result, held to it by a test.

A plan is one leg or two: draw from one backend until `needed` answers agree, or the first one is confident enough, or
one more is worth too little, or `samples` are drawn; then go on with the next leg. The answer is the majority of the
last leg that drew; where one more had to be worth its price, what each sample says for itself weighs its vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.sampling.weighed_runs import Votes, weighed_runs
from training.suites.allocation.problem import NO_ROW, Problem
from training.suites.allocation.said import Said

Floats = NDArray[np.float64]
NEVER = 0  # `needed` of a leg that draws all its samples


@dataclass(frozen=True, slots=True)
class Leg:
    """One stage."""

    backend: int
    samples: int = 1
    needed: int = NEVER  # equal answers that end the plan
    confident: float | None = None  # of one sample: the confidence that ends the plan
    least: float | None = None  # reward that one more sample must promise; votes are weighed
    ends: bool = True  # the plan where its rule is satisfied; else it goes on in any case


@dataclass(frozen=True, slots=True)
class Shape:
    """A plan as the simulation plays it."""

    name: str
    legs: tuple[Leg, ...]

    @property
    def single(self) -> bool:
        """One sample of one backend."""
        return len(self.legs) == 1 and self.legs[0].samples == 1

    @property
    def weighs(self) -> bool:
        """Votes of one backend, weighed by what each sample says for itself."""
        return len(self.legs) == 1 and self.legs[0].least is not None

    @property
    def backends(self) -> frozenset[int]:
        """Those that it may call."""
        return frozenset(leg.backend for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Played:
    """P plans on n queries."""

    shapes: tuple[Shape, ...]
    reward: Floats = field(compare=False)  # (n, P)
    cost: Floats = field(compare=False)  # (n, P) dollars
    rows: NDArray[np.int32] = field(compare=False)  # (n, P, L) samples in order, NO_ROW after the last
    answer: NDArray[np.int32] = field(compare=False)  # (n, P) row of the sample that is the answer
    right: Floats = field(compare=False)  # (n, P) P(that is right) as it looks then; NaN where nothing looks


def play(problem: Problem, shapes: Sequence[Shape], said: Said | None = None, order: int = 0) -> Played:
    """Play all plans in one of the problem's orders; `said`: what samples say, where a leg asks for it."""
    longest = max(sum(leg.samples for leg in shape.legs) for shape in shapes)
    n = len(problem.reward)
    rows = np.full((n, len(shapes), longest), NO_ROW, dtype=np.int32)
    answer = np.empty((n, len(shapes)), dtype=np.int32)
    right = np.empty((n, len(shapes)))
    for place, shape in enumerate(shapes):
        taken, answer[:, place], right[:, place] = _play(problem, shape, said, order)
        rows[:, place, : taken.shape[1]] = taken
    seen = problem.recording.columns
    cost = np.append(seen.cost, 0.0)[rows].sum(axis=2)  # NO_ROW finds the appended nothing
    return Played(tuple(shapes), seen.reward[answer].astype(np.float64), cost, rows, answer, right)


class _Drawn(NamedTuple):
    """What one stage does, n queries."""

    rows: NDArray[np.int64]  # (n, k) drawn, NO_ROW after the last
    answer: NDArray[np.int64]  # (n,) row of the sample that answers
    enough: NDArray[np.bool_]  # (n,) its rule was satisfied: the plan ends
    right: Floats  # (n,) P(the answer is right); NaN where nothing says it


def _play(
    problem: Problem, shape: Shape, said: Said | None, order: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Rows (n, L) with gaps where nothing was drawn closed up, the answering row (n,), P(it is right) (n,)."""
    n = len(problem.reward)
    going = np.ones(n, dtype=np.bool_)
    parts: list[NDArray[np.int64]] = []
    answer = np.full(n, NO_ROW, dtype=np.int64)
    right = np.full(n, np.nan)
    for stage, leg in enumerate(shape.legs):
        drawn = problem.drawn[order, stage, :, leg.backend, : leg.samples]
        stage_of = _leg(problem, leg, drawn, said)
        parts.append(np.where(going[:, None], stage_of.rows, NO_ROW))
        answer, right = np.where(going, stage_of.answer, answer), np.where(going, stage_of.right, right)
        going = going & ~(stage_of.enough & leg.ends)
    rows = np.concatenate(parts, axis=1)
    closed = np.argsort(rows == NO_ROW, axis=1, kind="stable")
    return np.take_along_axis(rows, closed, axis=1), answer, right


def _leg(problem: Problem, leg: Leg, drawn: NDArray[np.int64], said: Said | None) -> _Drawn:
    if said is None and (leg.confident is not None or leg.least is not None):
        raise ValueError("a leg that looks at what samples say needs to be told it")
    if said is not None and leg.least is not None:
        return _weighed(problem, leg, leg.least, drawn, said)
    if said is not None and leg.confident is not None:
        alone = said.alone[drawn[:, 0]]
        return _Drawn(drawn, drawn[:, 0], alone >= leg.confident, alone)
    n, width = drawn.shape
    group = problem.group[drawn]  # (n, k); -1: no vote
    votes = np.zeros((n, width), dtype=np.int64)  # of each sample's answer once it has come
    for at in range(width):
        same = (group[:, : at + 1] == group[:, at : at + 1]) & (group[:, at : at + 1] >= 0)
        votes[:, at] = same.sum(axis=1)
    settled = (votes >= leg.needed) if leg.needed else np.zeros((n, width), dtype=np.bool_)
    used, _, enough = _until(settled, drawn)
    final = np.where(used != NO_ROW, group, -1)
    total = ((final[:, :, None] == final[:, None, :]) & (final[:, :, None] >= 0)).sum(axis=2)
    first = np.argmax(total, axis=1)  # the earliest sample of the earliest of the largest classes
    right = said.alone[used[:, 0]] if said is not None and width == 1 else np.full(n, np.nan)
    return _Drawn(used, used[np.arange(n), first], enough, right)


def _weighed(problem: Problem, leg: Leg, least: float, drawn: NDArray[np.int64], said: Said) -> _Drawn:
    """`value_of_next` and `weighted`: evidence weighs the votes, and the next sample must promise `least`."""
    group = problem.group[drawn]
    same = (group[:, :, None] == group[:, None, :]) & (group[:, :, None] >= 0)
    classes = np.where(group >= 0, same.argmax(axis=2), -1)  # of each answer its first arrival
    seen = weighed_runs(Votes(classes, said.evidence[drawn], said.models[:, leg.backend]))
    settled = seen.worth <= least  # never without a vote
    used, last, enough = _until(settled, drawn)
    every = np.arange(len(drawn))
    speaker = seen.speaker[every, last]
    answer, kind = drawn[every, speaker], classes[every, speaker]
    right = np.where(kind >= 0, seen.each[every, last, np.maximum(kind, 0)], said.alone[answer])
    return _Drawn(used, answer, enough, right)


def _until(
    settled: NDArray[np.bool_], drawn: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Rows up to the first that settles it (n, k), the place of the last one (n,), whether any did (n,)."""
    enough: NDArray[np.bool_] = np.any(settled, axis=1)
    last = np.where(enough, settled.argmax(axis=1), (drawn != NO_ROW).sum(axis=1) - 1)
    return np.where(np.arange(drawn.shape[1]) <= last[:, None], drawn, NO_ROW), last, enough

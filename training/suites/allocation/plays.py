"""What plans give on recorded samples, for all queries at once: the live allocator's result, held to it by a test.

A plan is one leg or two: draw from one backend until `needed` answers agree, or the first one is confident enough, or
`samples` are drawn; then go on with the next leg. The answer is the majority of the last leg that drew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.problem import NO_ROW, Problem

Floats = NDArray[np.float64]
NEVER = 0  # `needed` of a leg that draws all its samples


@dataclass(frozen=True, slots=True)
class Leg:
    """One stage."""

    backend: int
    samples: int = 1
    needed: int = NEVER  # equal answers that end the plan
    confident: float | None = None  # of one sample: the confidence that ends the plan


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


def play(
    problem: Problem, shapes: Sequence[Shape], confidence: Floats | None = None, order: int = 0
) -> Played:
    """Play all plans in one of the problem's orders; `confidence` (rows,) of every sample as the first of its stage."""
    longest = max(sum(leg.samples for leg in shape.legs) for shape in shapes)
    n = len(problem.reward)
    rows = np.full((n, len(shapes), longest), NO_ROW, dtype=np.int32)
    answer = np.empty((n, len(shapes)), dtype=np.int32)
    for place, shape in enumerate(shapes):
        taken, answer[:, place] = _play(problem, shape, confidence, order)
        rows[:, place, : taken.shape[1]] = taken
    seen = problem.recording.columns
    cost = np.append(seen.cost, 0.0)[rows].sum(axis=2)  # NO_ROW finds the appended nothing
    return Played(tuple(shapes), seen.reward[answer].astype(np.float64), cost, rows, answer)


def _play(
    problem: Problem, shape: Shape, confidence: Floats | None, order: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (n, L) with gaps where nothing was drawn closed up, and the answering row (n,)."""
    n = len(problem.reward)
    going = np.ones(n, dtype=np.bool_)
    parts: list[NDArray[np.int64]] = []
    answer = np.full(n, NO_ROW, dtype=np.int64)
    for stage, leg in enumerate(shape.legs):
        drawn = problem.drawn[order, stage, :, leg.backend, : leg.samples]
        used, chosen, enough = _leg(problem, leg, drawn, confidence)
        parts.append(np.where(going[:, None], used, NO_ROW))
        answer = np.where(going, chosen, answer)
        going = going & ~enough
    rows = np.concatenate(parts, axis=1)
    closed = np.argsort(rows == NO_ROW, axis=1, kind="stable")
    return np.take_along_axis(rows, closed, axis=1), answer


def _leg(
    problem: Problem, leg: Leg, drawn: NDArray[np.int64], confidence: Floats | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Of one stage: the samples that were drawn, the majority's first one, whether its rule was satisfied."""
    if leg.confident is not None:
        if confidence is None:
            raise ValueError("a leg with a threshold needs confidences")
        sure: NDArray[np.bool_] = confidence[drawn[:, 0]] >= leg.confident
        return drawn, drawn[:, 0], sure
    n, width = drawn.shape
    group = problem.group[drawn]  # (n, k); -1: no vote
    there = drawn != NO_ROW
    votes = np.zeros((n, width), dtype=np.int64)  # of each sample's answer once it has come
    for at in range(width):
        same = (group[:, : at + 1] == group[:, at : at + 1]) & (group[:, at : at + 1] >= 0)
        votes[:, at] = same.sum(axis=1)
    settled = (votes >= leg.needed) if leg.needed else np.zeros((n, width), dtype=np.bool_)
    enough: NDArray[np.bool_] = np.any(settled, axis=1)
    last = np.where(enough, settled.argmax(axis=1), there.sum(axis=1) - 1)
    used = np.where(np.arange(width)[None, :] <= last[:, None], drawn, NO_ROW)
    final = np.where(used != NO_ROW, group, -1)
    total = ((final[:, :, None] == final[:, None, :]) & (final[:, :, None] >= 0)).sum(axis=2)
    first = np.argmax(total, axis=1)  # the earliest sample of the earliest of the largest classes
    return used, used[np.arange(n), first], enough

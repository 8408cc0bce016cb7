"""The plans that take part: every backend alone, votes, and cascades from cheap backends by agreement or confidence.

The front are the backends that no cheaper one beats on the training queries; votes and cascades are made of it, so
that their number stays bounded however many backends there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.plays import NEVER, Leg, Shape
from training.suites.allocation.problem import Problem

MOST_FRONT = 4  # backends, the cheapest, the best and what lies between
MOST_FIRST = 2  # that a cascade may begin with
MOST_SAMPLES = 15
VOTES = (3, 5, 9, 15)
AGREE = ((2, 2), (3, 2), (3, 3), (5, 3), (8, 5))  # samples, of which so many must agree
CONFIDENT = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)


def front(problem: Problem, train: NDArray[np.int64]) -> list[int]:
    """Backends by cost, each better than all that are cheaper; at most `MOST_FRONT`, the ends among them."""
    cost, reward = problem.cost[train].mean(axis=0), problem.reward[train].mean(axis=0)
    found: list[int] = []
    for place in np.lexsort((-reward, cost)).tolist():
        if not found or reward[place] > reward[found[-1]]:
            found.append(place)
    if len(found) <= MOST_FRONT:
        return found
    kept = np.unique(np.linspace(0, len(found) - 1, MOST_FRONT).round().astype(int))
    return [found[place] for place in kept]


def firsts(ahead: list[int]) -> list[int]:
    """Those of the front that a cascade begins with: the cheapest, never the best."""
    return ahead[:-1][:MOST_FIRST]


def shapes_of(problem: Problem, ahead: list[int], *, confidence: bool) -> list[Shape]:
    """All plans for a front; `confidence`: whether samples can be told apart at all."""
    names = problem.backends
    found = [Shape(name, (Leg(place),)) for place, name in enumerate(names)]
    for place in ahead:
        found += _votes(problem, place)
    for place in firsts(ahead):
        for other in ahead[ahead.index(place) + 1 :]:
            found += _cascades(problem, place, other, confidence=confidence)
    return found


def chain(problem: Problem, first: int, then: int) -> Shape:
    """One sample of the first, whose answer is looked at, then one of the other."""
    names = problem.backends
    return Shape(f"{names[first]}→{names[then]}", (Leg(first), Leg(then)))


def _votes(problem: Problem, place: int) -> Iterator[Shape]:
    name, most = problem.backends[place], min(problem.votes[place], MOST_SAMPLES)
    for samples in VOTES:
        if samples <= most:
            needed = samples // 2 + 1  # from then on nothing can overtake the leader
            yield Shape(f"{name}×{samples}", (Leg(place, samples, needed),))


def _cascades(problem: Problem, place: int, other: int, *, confidence: bool) -> Iterator[Shape]:
    name, then = problem.backends[place], problem.backends[other]
    for samples, needed in AGREE:
        if samples <= problem.votes[place]:
            legs = (Leg(place, samples, needed), Leg(other))
            yield Shape(f"{name}×{samples} agree {needed}→{then}", legs)
    if confidence:
        for threshold in CONFIDENT:
            legs = (Leg(place, 1, NEVER, threshold), Leg(other))
            yield Shape(f"{name}@{threshold:g}→{then}", legs)

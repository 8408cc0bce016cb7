"""The plans that take part: every backend alone, votes, and cascades from cheap backends by agreement or confidence.

The front are the backends that no cheaper one beats on the training queries; votes and cascades are made of it, so
that their number stays bounded however many backends there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.suites.allocation.plays import NEVER, Leg, Shape
from training.suites.allocation.problem import Problem

MOST_FRONT = 4  # backends, the cheapest, the best and what lies between
MOST_FIRST = 2  # that a cascade may begin with
MOST_SAMPLES = 15
VOTES = (3, 5, 9, 15)
WEIGHED = (0.006, 0.012, 0.04, 0.1)  # reward that one more sample must promise
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


def judged_of(problem: Problem, ahead: list[int]) -> list[int]:
    """Those of the front whose samples are looked at: a cascade begins with them, or their votes are weighed."""
    return [place for place in ahead if place in firsts(ahead) or problem.votes[place] >= VOTES[0]]


def shapes_of(problem: Problem, ahead: list[int], *, judged: bool) -> list[Shape]:
    """All plans for a front; `judged`: whether samples can be told apart at all."""
    names = problem.backends
    found = [Shape(name, (Leg(place),)) for place, name in enumerate(names)]
    for place in ahead:
        found += _votes(problem, place, judged=judged)
    for place in firsts(ahead):
        for other in ahead[ahead.index(place) + 1 :]:
            found += _cascades(problem, place, other, judged=judged)
    return found


def looked_at(shapes: Sequence[Shape], leads: Sequence[int]) -> list[int]:
    """Plans after which it is decided again: one sample of a cascade's first, or its votes while they are weighed."""
    return [
        at
        for place in leads
        for at, shape in enumerate(shapes)
        if shape.backends == frozenset((place,)) and (shape.single or shape.weighs)
    ]


def chain(problem: Problem, first: Shape, then: int) -> Shape:
    """A plan of one stage, whose answer is looked at, then one sample of the other."""
    name = f"{first.name}→{problem.backends[then]}"
    return Shape(name, (replace(first.legs[0], ends=False), Leg(then)))


def _votes(problem: Problem, place: int, *, judged: bool) -> Iterator[Shape]:
    name, most = problem.backends[place], min(problem.votes[place], MOST_SAMPLES)
    for samples in VOTES:
        if samples <= most:
            needed = samples // 2 + 1  # from then on nothing can overtake the leader
            yield Shape(f"{name}×{samples}", (Leg(place, samples, needed),))
    if judged and most >= VOTES[0]:
        for least in WEIGHED:
            yield Shape(f"{name}×{most} for {least:g}", (Leg(place, most, least=least),))


def _cascades(problem: Problem, place: int, other: int, *, judged: bool) -> Iterator[Shape]:
    name, then = problem.backends[place], problem.backends[other]
    for samples, needed in AGREE:
        if samples <= problem.votes[place]:
            legs = (Leg(place, samples, needed), Leg(other))
            yield Shape(f"{name}×{samples} agree {needed}→{then}", legs)
    if judged:
        for threshold in CONFIDENT:
            legs = (Leg(place, 1, NEVER, threshold), Leg(other))
            yield Shape(f"{name}@{threshold:g}→{then}", legs)

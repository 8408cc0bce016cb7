"""Operating points, all chosen on the training queries: evenly spaced in cost, or the corners of a hull."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.figures.hull import Hull
from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known

Floats = NDArray[np.float64]
POINTS = 41  # evenly spaced in cost, between the cheapest point and the best single backend
BEYOND = 4  # further points, up to where cost does not matter
PRICES = 200  # tried to find them


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting of a policy: what it does with every query (n,), indices as in `Decided`."""

    label: str
    plan: NDArray[np.int16] = field(compare=False)
    path: NDArray[np.int16] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Family:
    """The settings of one policy and the names of its plans."""

    labels: tuple[str, ...]
    settings: tuple[Candidate, ...]


def prices_of(known: Known) -> Floats:
    """0, and prices from where cost hardly matters to where nothing else does, rising; quality per dollar."""
    spread = float(np.ptp(known.cost[known.train], axis=1).mean())
    if spread <= 0:
        return np.zeros(1)
    return np.concatenate(([0.0], np.geomspace(1e-3, 1e3, PRICES) / spread))


def by_price(
    known: Known,
    labels: Sequence[str],
    decide: Callable[[float], tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> Family:
    """One setting per price; `decide` gives plan and path of every query at a price."""
    settings = []
    for price in prices_of(known).tolist():
        plan, path = decide(price)
        settings.append(Candidate(f"price={price:.6g}", plan.astype(np.int16), path.astype(np.int16)))
    return Family(tuple(labels), tuple(settings))


def spaced(known: Known, families: Sequence[Family]) -> Decided:
    """Evenly spaced in training cost; at each cost the family that was most accurate there on the training queries."""
    # (settings, 2)
    measured = [np.array([measure(known, one) for one in family.settings]) for family in families]
    dear = alone(known, known.fold.best)[0]
    low = min(float(found[:, 0].min()) for found in measured)
    top = max(float(found[:, 0].max()) for found in measured)
    targets = [*np.linspace(min(low, dear), dear, POINTS), *np.linspace(dear, max(top, dear), BEYOND + 1)[1:]]
    chosen: dict[tuple[int, int], None] = {}
    for target in targets:
        near = [int(np.argmin(np.abs(found[:, 0] - target))) for found in measured]
        reached = [Hull.of(found[:, 0], found[:, 1]) for found in measured]
        best = int(np.argmax([hull.at(max(target, hull.cost[0])) for hull in reached]))
        chosen.setdefault((best, near[best]))
    return joined(families, list(chosen))


def corners(known: Known, families: Sequence[Family]) -> Decided:
    """The settings that lie on the training queries' hull of (cost, accuracy)."""
    places = [(turn, at) for turn, family in enumerate(families) for at in range(len(family.settings))]
    at_each = np.array([measure(known, families[turn].settings[at]) for turn, at in places])
    hull = Hull.of(at_each[:, 0], at_each[:, 1])
    kept = [
        places[int(np.flatnonzero((at_each[:, 0] == cost) & (at_each[:, 1] == accuracy))[0])]
        for cost, accuracy in zip(hull.cost, hull.accuracy, strict=True)
    ]
    return joined(families, kept)


def joined(families: Sequence[Family], chosen: Sequence[tuple[int, int]]) -> Decided:
    """Settings (family, number) of several families as one decision."""
    labels = tuple(dict.fromkeys(label for family in families for label in family.labels))
    number = {label: place for place, label in enumerate(labels)}
    moved = [np.array([number[label] for label in family.labels], dtype=np.int16) for family in families]
    taken = [(turn, families[turn].settings[at]) for turn, at in chosen]
    points: list[str] = []
    for turn, one in taken:
        label = one.label if len(families) == 1 else f"{turn}/{one.label}"
        points.append(label)
    return Decided(
        told_apart(points),
        labels,
        np.stack([moved[turn][one.plan] for turn, one in taken]),
        np.stack([one.path for _, one in taken]),
    )


def told_apart(points: Sequence[str]) -> tuple[str, ...]:
    """The same with a number behind what is there already: who reads the file knows a point by its name alone.

    >>> told_apart(["match=0.3", "match=0.3", "best", "match=0.3"])
    ('match=0.3', 'match=0.3 #2', 'best', 'match=0.3 #3')
    """
    times: Counter[str] = Counter()
    found = []
    for point in points:
        times[point] += 1
        found.append(point if times[point] == 1 else f"{point} #{times[point]}")
    return tuple(found)


def measure(known: Known, setting: Candidate) -> tuple[float, float]:
    """Mean cost and accuracy on the training queries."""
    train = known.train
    path = setting.path[train]
    return float(known.played.cost[train, path].mean()), float(known.played.reward[train, path].mean())


def alone(known: Known, backend: int) -> tuple[float, float]:
    """Mean cost and accuracy of one backend on the training queries; plans of one backend come first, in its order."""
    train = known.train
    return float(known.played.cost[train, backend].mean()), float(known.played.reward[train, backend].mean())


def ends(known: Known) -> Family:
    """Always the cheapest backend and always the best: whoever decides can do that, too."""
    names = (
        known.problem.backends[known.fold.cheapest],
        known.problem.backends[known.fold.best],
    )
    n = len(known.quality)
    settings = tuple(
        Candidate(label, np.full(n, turn, np.int16), np.full(n, place, np.int16))
        for turn, (label, place) in enumerate((("cheapest", known.fold.cheapest), ("best", known.fold.best)))
    )
    return Family(names, settings)


def with_ends(known: Known, decided: Decided) -> Decided:
    """The same with the two ends as further points."""
    extra = ends(known)
    labels = tuple(dict.fromkeys((*decided.labels, *extra.labels)))
    moved = np.array([labels.index(label) for label in extra.labels], dtype=np.int16)
    return Decided(
        told_apart((*decided.points, *(one.label for one in extra.settings))),
        labels,
        np.concatenate([decided.plan, *(moved[one.plan][None] for one in extra.settings)]),
        np.concatenate([decided.path, *(one.path[None] for one in extra.settings)]),
    )

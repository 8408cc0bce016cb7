"""The suite's figures, from decision rows and the recording alone.

Rows are taken block by block, in any order; the same figures come out of the file that `--decisions` wrote. The
`always:…` rows say which backend is the cheapest and which the best, and what each earns on the same queries.
`accuracy`, `cost`, `cost_of_pass` ($ for 1,000 right answers; Erol et al. 2025) and `share/<plan>` are those of the
subject's hull at the equal cost: half of the best backend's, or the cheapest's where that is more. `aiq_over/<subject>`
and `accuracy_over/<subject>` (points) are paired by split.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from router.recording import Recording
from training.decision_rows import DecisionRows, answering_row
from training.figures.hull import Hull, Single, cost_figures, equal_cost
from training.figures.spread import Spread, spread

ALONE = "always:"
JOINT = ("apportion", "hop", "table")  # choose more than one thing: compared with those that choose one
PARTS = ("best_fixed_plan", "route_only", "sample_only", "cascade_only", "match_probability")
LEAST_SHARE = 0.001  # of the queries, mean over splits; a plan that is taken less often is not listed

Split = tuple[int, int]  # seed, fold
Point = tuple[float, float, dict[str, float]]  # mean cost, accuracy, share of each plan


@dataclass(slots=True)
class AllocationFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    recording: Recording
    _points: dict[str, dict[Split, list[Point]]] = field(default_factory=lambda: defaultdict(dict))
    _queries: dict[str, dict[Split, int]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, rows: DecisionRows) -> None:
        """Add a block."""
        key = rows.key
        reward = self.recording.columns.reward[answering_row(rows, self.recording)].astype(np.float64)
        taken = np.bincount(rows.plan, minlength=len(rows.plans)) / len(rows)
        share = {name: float(part) for name, part in zip(rows.plans, taken, strict=True) if part > 0}
        split = (key.seed, key.fold)
        self._points[key.subject].setdefault(split, []).append(
            (float(rows.cost.mean()), float(reward.mean()), share)
        )
        self._queries[key.subject][split] = len(rows)

    def figures(self) -> dict[str, dict[str, Spread | float]]:
        """Subject -> figure -> value; figures without a meaning are left out."""
        cheapest, best = self._cheapest_and_best()
        values = {
            subject: {
                split: self._of_split(points, split, cheapest, best, alone=subject.startswith(ALONE))
                for split, points in by_split.items()
            }
            for subject, by_split in self._points.items()
        }
        found: dict[str, dict[str, Spread | float]] = {}
        for subject, by_split in values.items():
            found[subject] = _spreads(by_split)
            if subject in JOINT:
                found[subject] |= _spreads(_paired(by_split, values))
            found[subject]["queries"] = float(sum(self._queries[subject].values()))
        return found

    def mean_points(self) -> dict[str, tuple[list[float], list[float]]]:
        """Subject -> cost ($ per 1,000 queries) and accuracy, mean over splits, at even steps along its hulls."""
        found = {}
        for subject, by_split in self._points.items():
            hulls = [Hull.of([p[0] for p in points], [p[1] for p in points]) for points in by_split.values()]
            along = np.linspace(0, 1, 30)
            cost = [np.interp(along, np.linspace(0, 1, len(hull.cost)), hull.cost) for hull in hulls]
            accuracy = [[hull.at(at) for at in some] for hull, some in zip(hulls, cost, strict=True)]
            found[subject] = (
                (1000 * np.mean(cost, axis=0)).tolist(),
                np.mean(accuracy, axis=0).tolist(),
            )
        return found

    def _alone(self, subject: str, split: Split) -> Single:
        cost, accuracy, _ = self._points[subject][split][0]
        return Single(accuracy, cost)

    def _cheapest_and_best(self) -> tuple[str, str]:
        means = {}
        for subject, by_split in self._points.items():
            if subject.startswith(ALONE):
                weight = np.array([self._queries[subject][split] for split in by_split], np.float64)
                cost = np.average([points[0][0] for points in by_split.values()], weights=weight)
                accuracy = np.average([points[0][1] for points in by_split.values()], weights=weight)
                means[subject] = (float(cost), float(accuracy))
        cheapest = min(means, key=lambda subject: means[subject])
        return cheapest, min(means, key=lambda subject: (-means[subject][1], means[subject][0]))

    def _of_split(
        self, points: list[Point], split: Split, cheapest: str, best: str, *, alone: bool
    ) -> dict[str, float]:
        small, large = self._alone(cheapest, split), self._alone(best, split)
        hull = Hull.of([point[0] for point in points], [point[1] for point in points])
        spent = float(np.clip(equal_cost(small, large), hull.cost[0], hull.cost[-1]))
        right = hull.at(spent)
        found = {"accuracy": right, "cost": 1000 * spent}
        if right > 0:
            found["cost_of_pass"] = 1000 * spent / right
        if not alone:
            if cheapest != best and small.cost < large.cost:
                found |= cost_figures([point[:2] for point in points], small, large)
            found |= {f"share/{plan}": share for plan, share in _shares(points, hull, spent).items()}
        return found


def _shares(points: list[Point], hull: Hull, spent: float) -> dict[str, float]:
    """Of the two corners around a cost, mixed as the hull mixes them."""
    right = min(int(np.searchsorted(hull.cost, spent)), len(hull.cost) - 1)
    left = max(right - 1, 0)
    width = hull.cost[right] - hull.cost[left]
    along = float((spent - hull.cost[left]) / width) if width > 0 else 1.0
    found: dict[str, float] = defaultdict(float)
    for corner, weight in ((left, 1 - along), (right, along)):
        at = next(point for point in points if point[:2] == (hull.cost[corner], hull.accuracy[corner]))
        for plan, share in at[2].items():
            found[plan] += weight * share
    return found


def _paired(
    mine: dict[Split, dict[str, float]], others: dict[str, dict[Split, dict[str, float]]]
) -> dict[Split, dict[str, float]]:
    """`aiq_over/<subject>` and `accuracy_over/<subject>` (at equal cost, in points): differences split by split."""
    found: dict[Split, dict[str, float]] = {split: {} for split in mine}
    for name in PARTS:
        for split, figures in others.get(name, {}).items():
            if "aiq" in figures and "aiq" in mine.get(split, {}):
                found[split][f"aiq_over/{name}"] = mine[split]["aiq"] - figures["aiq"]
            if split in mine:
                found[split][f"accuracy_over/{name}"] = 100 * (mine[split]["accuracy"] - figures["accuracy"])
    return found


def _spreads(by_split: dict[Split, dict[str, float]]) -> dict[str, Spread | float]:
    found: dict[str, Spread | float] = {}
    seeds = sorted({seed for seed, _ in by_split})
    for name in dict.fromkeys(name for figures in by_split.values() for name in figures):
        missing = 0.0 if name.startswith("share/") else float("nan")
        one = spread(
            [
                [
                    figures.get(name, missing)
                    for split, figures in sorted(by_split.items())
                    if split[0] == seed
                ]
                for seed in seeds
            ]
        )
        if one is not None and not (name.startswith("share/") and one.mean < LEAST_SHARE):
            found[name] = one
    return found

"""What a policy reaches at every cost: the non-decreasing concave hull of its operating points.

Between two operating points a policy can mix, which is the hull's straight line; and it never has to spend what does
not help, which makes the hull non-decreasing (RouterBench, Hu et al. 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

DROPS = (10, 20, 40, 60)  # percent of cost cut
LEVELS = (95, 98, 100)  # percent of the best single backend's accuracy


@dataclass(frozen=True, slots=True)
class Hull:
    """The corners, cost strictly rising, accuracy strictly rising after the first, slopes falling."""

    cost: NDArray[np.float64] = field(compare=False)
    accuracy: NDArray[np.float64] = field(compare=False)

    @classmethod
    def of(cls, cost: ArrayLike, accuracy: ArrayLike) -> Hull:
        """Of one point or more, in any order."""
        x, y = np.asarray(cost, np.float64), np.asarray(accuracy, np.float64)
        corners: list[tuple[float, float]] = []
        for place in np.lexsort((-y, x)):
            at = (float(x[place]), float(y[place]))
            if corners and at[1] <= corners[-1][1]:
                continue
            while len(corners) >= 2 and _slope(corners[-2], corners[-1]) <= _slope(corners[-2], at):
                corners.pop()
            corners.append(at)
        return cls(np.array([at[0] for at in corners]), np.array([at[1] for at in corners]))

    def at(self, cost: float) -> float:
        """Accuracy at a cost; below the cheapest point NaN."""
        if cost < self.cost[0] * (1 - 1e-12):
            return float("nan")
        return float(np.interp(cost, self.cost, self.accuracy))

    def cost_of(self, accuracy: float) -> float:
        """The least cost that reaches an accuracy; NaN if none does, and for NaN."""
        if not accuracy <= self.accuracy[-1]:
            return float("nan")
        return float(np.interp(accuracy, self.accuracy, self.cost))

    def area(self, low: float, high: float) -> float:
        """The mean accuracy over the costs low < high; below the cheapest point that point's accuracy counts."""
        inside = (self.cost > low) & (self.cost < high)
        at = np.concatenate(([low], self.cost[inside], [high]))
        return float(np.trapezoid(np.interp(at, self.cost, self.accuracy), at) / (high - low))


def _slope(start: tuple[float, float], end: tuple[float, float]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0])


@dataclass(frozen=True, slots=True)
class Single:
    """A backend that answers everything alone: mean accuracy and mean cost ($ per query)."""

    accuracy: float
    cost: float


def equal_cost(cheapest: Single, best: Single) -> float:
    """Where policies are compared: half of the best single backend's cost, or the cheapest's where that is more."""
    return max(best.cost / 2, cheapest.cost)


def cost_figures(points: Sequence[tuple[float, float]], cheapest: Single, best: Single) -> dict[str, float]:
    """`aiq`, `quality_drop@…` and `gain_at_cost@100` (percent, points), `cost_at_quality@…` (percent).

    `points`: (mean cost, accuracy) of the operating points. NaN where the policy does not reach that far, and where
    the best backend gets nothing right: a share of nothing has no meaning.
    """
    hull = Hull.of([cost for cost, _ in points], [accuracy for _, accuracy in points])
    figures = {"aiq": hull.area(cheapest.cost, best.cost)}
    whole = best.accuracy if best.accuracy > 0 else math.nan
    for cut in DROPS:
        figures[f"quality_drop@{cut}"] = 100 * (1 - hull.at(best.cost * (1 - cut / 100)) / whole)
    for level in LEVELS:
        figures[f"cost_at_quality@{level}"] = 100 * hull.cost_of(whole * level / 100) / best.cost
    figures["gain_at_cost@100"] = 100 * (hull.at(best.cost) - best.accuracy)
    return figures

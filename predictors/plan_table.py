"""Difficulty bin × plan → expected reward: the interpretable fallback, and the gate on compute that does not help.

The difficulty of a query is the mean of P(right) over the backends, cut at absolute edges, fitted on averages of
replayed plans (the strategy tables of Snell et al. 2024 and Liu et al. 2025). With today's costs it is a table
difficulty × budget → plan; prices are no part of it. A plan of several samples or stages helps in a bin where its mean
reward is above that of one sample of its first backend: where more compute does not help it is never given more (Zhao
et al. 2025 on knowledge tasks, Gema et al. 2025 on inverse scaling). When it fails: with few queries in a bin the means
are shrunk towards those of all, so that a gate closes late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

Floats = NDArray[np.float64]
EDGES = np.linspace(0.1, 0.9, 9)
_EDGES: list[float] = EDGES.tolist()
SHRUNK = 10.0  # queries' worth of the mean over all bins


@dataclass(frozen=True, slots=True)
class PlanTable:
    """Rewards by difficulty; `alone` is what one sample of the plan's first backend earns there."""

    plans: tuple[str, ...]
    reward: Floats = field(compare=False)  # (bins, plans)
    alone: Floats = field(compare=False)  # (bins, plans)
    _signals: list[dict[str, float]] = field(init=False, repr=False, compare=False)  # of each bin

    def __post_init__(self) -> None:
        helps = self.reward - self.alone
        object.__setattr__(
            self,
            "_signals",
            [
                {f"table_quality/{plan}": one for plan, one in zip(self.plans, rewards, strict=True)}
                | {f"helps/{plan}": one for plan, one in zip(self.plans, gains, strict=True)}
                for rewards, gains in zip(self.reward.tolist(), helps.tolist(), strict=True)
            ],
        )

    @classmethod
    def of(cls, plans: tuple[str, ...], difficulty: Floats, reward: Floats, alone: Floats) -> Self:
        """`difficulty` (n,); `reward`, `alone` (n, plans) outcomes of the same queries, NaN where unknown."""
        bins = np.digitize(difficulty, EDGES)
        return cls(plans, _shrunk(bins, reward), _shrunk(bins, alone))

    def signals(self, difficulty: float) -> dict[str, float]:
        """table_quality/P in [0, 1], and helps/P: what more compute than one sample adds, in [-1, 1].

        The bin's own dictionary: not to be changed.
        """
        return self._signals[bisect_right(_EDGES, difficulty)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"plans": np.array(self.plans), "reward": self.reward, "alone": self.alone}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        plans, reward, alone = arrays["plans"], arrays["reward"], arrays["alone"]
        shape = (len(EDGES) + 1, len(plans))
        if reward.shape != shape or alone.shape != shape or plans.dtype.kind != "U":
            raise BundleError(f"plan table: {reward.shape} and {alone.shape} do not fit {shape}")
        return cls(tuple(plans.tolist()), reward, alone)


def _shrunk(bins: NDArray[np.int64], values: Floats) -> Floats:
    """Means by bin, shrunk towards the mean over all; (bins, plans)."""
    overall = np.nanmean(values, axis=0)
    found = np.empty((len(EDGES) + 1, values.shape[1]))
    for at in range(len(found)):
        inside = values[bins == at]
        known = np.isfinite(inside)
        total = np.where(known, inside, 0.0).sum(axis=0)
        found[at] = (total + SHRUNK * overall) / (known.sum(axis=0) + SHRUNK)
    return found

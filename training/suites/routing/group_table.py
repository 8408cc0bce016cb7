"""What the backends did on average in each group of queries, shrunk towards the average over all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PRIOR = 10.0  # queries' worth of the overall average in every group


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Sums over the training queries; groups are 0 .. groups-1, -1 is a group that was never seen."""

    total: NDArray[np.float64] = field(compare=False)  # (groups, B)
    count: NDArray[np.float64] = field(compare=False)  # (groups,)
    overall: NDArray[np.float64] = field(compare=False)  # (B,)

    @classmethod
    def of(cls, group: NDArray[np.int64], values: NDArray[np.float64], groups: int) -> GroupTable:
        """`group` (n,), `values` (n, B)."""
        total = np.zeros((groups, values.shape[1]))
        np.add.at(total, group, values)
        return cls(total, np.bincount(group, minlength=groups).astype(np.float64), values.mean(axis=0))

    def mean(self, group: NDArray[np.int64]) -> NDArray[np.float64]:
        """The shrunk mean of each query's group, shape (n, B)."""
        seen = (group >= 0)[:, None]
        total, count = np.where(seen, self.total[group], 0.0), np.where(seen[:, 0], self.count[group], 0.0)
        return np.asarray((total + PRIOR * self.overall) / (count + PRIOR)[:, None], dtype=np.float64)

    def mean_without_self(self, group: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for the training queries, each left out of its own group."""
        total = self.total[group] - values + PRIOR * self.overall
        return np.asarray(total / (self.count[group] - 1 + PRIOR)[:, None], dtype=np.float64)

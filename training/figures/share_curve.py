"""Two backends: how much of the better one's advantage is had for which share of its calls (RouteLLM, Ong et al. 2024).

The curve is linear between the operating points in order of their share, with the ends (0, 0) and (1, 1). It need not
rise: a level counts as reached at the first share where the curve is there, found segment by segment (inverting it by
interpolation over the accuracy would be wrong wherever it falls).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ShareCurve:
    """Recovered advantage over the share of queries answered by the better backend."""

    share: NDArray[np.float64] = field(compare=False)  # (points,) rising from 0 to 1
    recovered: NDArray[np.float64] = field(compare=False)  # (accuracy - worse) / (better - worse)

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]], worse: float, better: float) -> ShareCurve:
        """`points`: (share, accuracy); `worse` < `better`: the two backends' own accuracies."""
        at = sorted(points, key=lambda point: point[0])
        share = np.array([0.0, *(point[0] for point in at), 1.0])
        recovered = (np.array([point[1] for point in at]) - worse) / (better - worse)
        return cls(share, np.concatenate(([0.0], recovered, [1.0])))

    def area(self) -> float:
        """APGR: .5 is a coin, 1 would be all of the advantage at no call of the better backend."""
        return float(np.trapezoid(self.recovered, self.share))

    def first_reaching(self, level: float) -> float:
        """CPT: the least share, in percent, at which the curve is at `level` in (0, 1]."""
        for left in range(len(self.share) - 1):
            low, high = self.recovered[left], self.recovered[left + 1]
            if low >= level:
                return 100 * float(self.share[left])
            if high >= level:
                along = (level - low) / (high - low)
                return 100 * float(self.share[left] + along * (self.share[left + 1] - self.share[left]))
        return 100.0

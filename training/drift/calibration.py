"""Is what was expected of the served plans still what they earn? And the mapping that would mend it.

Expected reward minus earned one over rows of one bundle has mean 0 while it is calibrated: a z-test per plan. The
mend is monotone: isotonic regression of earned on expected rewards, shrunk towards the old value where rows are few.
When it fails: errors of both signs that cancel within a plan are not seen by the test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST = 50  # labelled rows of a plan
LEAST = 0.05  # of reward; a smaller error is not told


@dataclass(frozen=True, slots=True)
class CalibrationDrift:
    """One plan's."""

    plan: str
    expected: float  # mean
    earned: float
    rows: int
    z: float


def calibration_drift(
    plan: NDArray[np.object_], expected: Floats, reward: Floats, *, level: float
) -> tuple[CalibrationDrift, ...]:
    """Plans whose expectation is off, the worst first; rows (n,) of one bundle, all finite."""
    from scipy.stats import norm

    names = sorted(set(plan.tolist()))
    bar = float(norm.isf(level / (2 * max(1, len(names)))))
    found = []
    for name in names:
        mine = plan == name
        count = int(mine.sum())
        if count < FEWEST:
            continue
        error = reward[mine] - expected[mine]
        spread = float(np.sqrt(np.mean(expected[mine] * (1 - expected[mine])) + 1e-9))
        z = float(error.mean() / (max(spread, float(error.std())) / np.sqrt(count)))
        if abs(z) >= bar and abs(error.mean()) >= LEAST:
            found.append(
                CalibrationDrift(name, float(expected[mine].mean()), float(reward[mine].mean()), count, z)
            )
    return tuple(sorted(found, key=lambda one: -abs(one.earned - one.expected)))

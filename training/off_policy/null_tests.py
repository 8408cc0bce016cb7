"""What must not be promoted: the same comparison on outcomes that were dealt to the rows by chance.

Shuffled outcomes have nothing to do with plans, so that no candidate is better; at a level of alpha one shuffle in
1/alpha may pass all the same. Where clearly more do, bounds on this log promise too much (weights too heavy for so few
rows, or a mistake in the comparison itself), and nothing is promoted on it. When it fails: rows that are copies of each
other are told apart by the shuffle; sessions, whose numbers are known, are what protects from those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.off_policy.estimate import difference
from training.off_policy.logged import Floats, LoggedRows

SHUFFLES = 20
ALARM = 0.001  # chance of a false alarm
MOST_ROWS = 50_000  # dealt; of a longer log a random part, as hard a test as any


@dataclass(frozen=True, slots=True)
class NullTest:
    """How many of the shuffles would have passed, and how many may."""

    passed: int
    shuffles: int
    allowed: int

    @property
    def failed(self) -> bool:
        """Whether bounds on this log promise too much."""
        return self.passed > self.allowed


def null_test(
    logged: LoggedRows,
    candidate: Floats,
    incumbent: Floats,
    outcome: Floats,
    *,
    margin: float,
    level: float,
    rng: np.random.Generator,
    shuffles: int = SHUFFLES,
) -> NullTest:
    """Deal `outcome` (n,) anew `shuffles` times and ask each time whether the lower bound at `level` is above `margin`.

    Tested at 5 % where `level` is less: at .001 twenty shuffles would show nothing.
    """
    from scipy.stats import binom

    if len(logged) > MOST_ROWS:
        part = np.sort(rng.choice(len(logged), MOST_ROWS, replace=False))
        logged, candidate, incumbent = logged.taken(part), candidate[part], incumbent[part]
        outcome = outcome[part]
    tested = max(level, 0.05)
    passed = 0
    for _ in range(shuffles):
        dealt = outcome[rng.permutation(len(outcome))]
        passed += difference(logged, candidate, incumbent, dealt).interval.lower(tested) > margin
    return NullTest(passed, shuffles, int(binom.ppf(1 - ALARM, shuffles, tested)))

"""Stop when the last few answers are all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Window(StoppingRule):
    """ENOUGH where the stage's last `size` finished samples all voted, and for one answer.

    Early-stopping self-consistency (ESC, Li et al. 2024): the entropy of a window of answers is zero. ESC draws
    disjoint windows; this one slides, so a run that straddles two counts too. Fails by forgetting: a run of a minority
    answer stops it whatever came before (a share of 1/3 has a run of 4 among 12 samples in 8 queries of 100), and a
    single dissenter after many equal answers starts it anew.
    """

    size: int = 4  # samples, >= 2

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ConfigError(f"window: size must be at least 2, got {self.size}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH with a uniform window."""
        if seen.tally.drawn < self.size:
            return MORE
        wanted, left = None, self.size
        for sample in reversed(seen.samples):
            if sample.stage != seen.stage or not sample.finished:
                continue
            own = sample.answer_class
            if own is None or (wanted is not None and own != wanted):
                return MORE
            wanted, left = own, left - 1
            if not left:
                return ENOUGH
        return MORE

    def stops(self, classes: NDArray[np.integer]) -> NDArray[np.int64]:
        """The same over recorded runs: samples that each draws, all where it never stops. Shape (runs,).

        `classes` (runs, samples): answer classes in order of arrival, below 0 for a sample without a vote.
        """
        runs, length = classes.shape
        same = np.zeros(runs, np.int64)  # length of the run of equal votes that ends here
        drawn = np.full(runs, length, np.int64)
        for at in range(length):
            goes_on = (classes[:, at] == classes[:, at - 1]) if at else np.zeros(runs, bool)
            same = np.where(classes[:, at] < 0, 0, np.where(goes_on, same + 1, 1))
            drawn = np.where((same >= self.size) & (drawn == length), at + 1, drawn)
        return drawn

"""SWITCH: weights where they are small, the model where they are not (Wang, Agarwal & Dudik 2017).

An action a of row i is corrected by its observed error only while pi(a|x) / p(a|x) <= cap; above, the model's word
stands. When it fails: as the direct method does, on the queries for which the policy leaves what was usual.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.off_policy import Estimator
from training.off_policy.doubly_robust import corrected
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits, RewardModel
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class Switch(Estimator):
    """See the module."""

    cap: float = 10.0
    model: RewardModel = field(default_factory=RewardModel)

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        weight = importance(logged, target)
        kept = np.where(weight <= self.cap, weight, 0.0)
        return corrected(logged, outcome, target, fits.predicted(self.model), kept)

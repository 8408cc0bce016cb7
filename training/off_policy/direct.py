"""The direct method: believe a model of the outcome. V = 1/n sum_i sum_a pi(a|x_i) q(x_i, a).

When it fails: where the model is wrong for what the log seldom drew, and its interval does not know it. Never what a
promotion rests on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.off_policy import Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits, RewardModel


@dataclass(frozen=True, slots=True)
class Direct(Estimator):
    """See the module."""

    model: RewardModel = field(default_factory=RewardModel)

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        return np.asarray((target * fits.predicted(self.model)).sum(axis=1))

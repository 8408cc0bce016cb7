"""Self-normalised inverse propensity scoring: a weighted mean of the rewards.

V = sum w_i r_i / sum w_i (Swaminathan & Joachims 2015); scores are linearised, V + (w_i / mean w) (r_i - V). When it
fails: with few useful rows it is biased towards the logging policy's value, and its interval is too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.off_policy import Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class SelfNormalised(Estimator):
    """See the module. No row with a weight: every score is 0."""

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        weight = importance(logged, target)
        total = weight.mean()
        if total == 0:
            return np.zeros(len(logged))
        share = weight / total
        value = float((share * outcome).mean())
        return np.asarray(value + share * (outcome - value))

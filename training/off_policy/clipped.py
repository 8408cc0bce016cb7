"""Inverse propensity scoring with weights cut at a cap (Ionides 2008): less noise, rewards biased downwards.

V = 1/n sum min(w_i, cap) r_i. When it fails: where the policy leaves what was usual, its value is cut to cap * epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.off_policy import Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class Clipped(Estimator):
    """See the module."""

    cap: float = 10.0  # an exploration of .2 over two plans is not cut

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        return np.asarray(np.minimum(importance(logged, target), self.cap) * outcome)

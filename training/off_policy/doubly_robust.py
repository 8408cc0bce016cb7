"""Doubly robust: a model's prediction, corrected by the weighted errors that it made on what was drawn.

V = 1/n sum_i [sum_a pi(a|x_i) q(x_i, a) + w_i (r_i - q(x_i, a_i))] (Dudik, Langford & Li 2011). Right if either the
propensities or the model are; here the textbook's form: a ridge per plan on the other half of the rows. When it fails:
as inverse propensity scoring does, where the weights are extreme and the model says little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.off_policy import Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits, RewardModel
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class DoublyRobust(Estimator):
    """See the module."""

    model: RewardModel = field(
        default_factory=lambda: RewardModel(2, (1.0,), shared=False, fit_power=0.0, choice_power=0.0)
    )

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        return corrected(logged, outcome, target, fits.predicted(self.model), importance(logged, target))


def corrected(
    logged: LoggedRows, outcome: Floats, target: Floats, predicted: Floats, weight: Floats
) -> Floats:
    """sum_a pi q + w (r - q), shape (n,), for predictions (n, A) and weights (n,)."""
    drawn = predicted[np.arange(len(logged)), logged.action]
    return np.asarray((target * predicted).sum(axis=1) + weight * (outcome - drawn))

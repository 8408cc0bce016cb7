"""Inverse propensity scoring: rewards weighted by how much likelier the policy draws what the log drew.

V = 1/n sum w_i r_i, w = pi(a|x) / p(a|x) (Horvitz & Thompson 1952). Unbiased wherever the log had a chance for all that
the policy does. When it fails: weights of 1/epsilon make it the noisiest of all, and adding 1 to every reward changes
the error.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.off_policy import Estimator
from training.off_policy.logged import Floats, LoggedRows
from training.off_policy.reward_model import Fits
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class InversePropensity(Estimator):
    """See the module."""

    def scores(self, logged: LoggedRows, outcome: Floats, target: Floats, fits: Fits) -> Floats:
        return importance(logged, target) * outcome

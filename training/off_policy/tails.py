"""Quantiles of cost, latency or reward under a policy, with intervals.

F(t) is the self-normalised weighted share of outcomes <= t; a quantile is where F reaches it. Its interval comes from
the interval of F there, inverted (Woodruff 1952). (A density of the outcome integrated under the policy, fitted by
maximum likelihood, is the other way.) When it fails: beyond the largest outcome with a weight nothing is known; few
useful rows say nothing of a 99th percentile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from training.errors import TrainingError
from training.off_policy.logged import Floats, Ints, LoggedRows, checked_policy
from training.off_policy.student import student
from training.off_policy.weights import importance


@dataclass(frozen=True, slots=True)
class Tail:
    """A figure of a distribution in the outcome's unit, and its 95 % interval (infinite: not known)."""

    value: float
    lo: float
    hi: float


def quantile(logged: LoggedRows, target: Floats, outcome: Floats, share: float) -> Tail:
    """The outcome (n,) that `share` in (0, 1) of the queries stay within under a policy (n, A)."""
    order, weight = _weighted(logged, target, outcome, share)
    values, mass = outcome[order], np.cumsum(weight[order]) / len(outcome)
    at = _first(values, mass, share)
    below = (outcome <= at).astype(np.float64)
    reached = float((weight * below).mean())
    interval = student(weight * (below - reached), logged.cluster)
    # nothing beyond the quantile was seen: not known exactly, but as badly as a binomial share of so many rows
    binomial = math.sqrt(share * (1 - share) * float((weight**2).sum())) / len(outcome)
    half = (
        replace(interval, standard_error=max(interval.standard_error, binomial)).upper(0.025) - interval.value
    )
    return Tail(at, _first(values, mass, share - half), _first(values, mass, share + half))


def _weighted(logged: LoggedRows, target: Floats, outcome: Floats, share: float) -> tuple[Ints, Floats]:
    """The outcomes' order, and weights of mean 1."""
    if not 0 < share < 1:
        raise TrainingError(f"a tail's share must be in (0, 1), got {share}")
    weight = importance(logged, checked_policy(logged, target, "policy"))
    if not weight.sum() > 0:
        raise TrainingError("nothing that the policy does was ever drawn: no tail can be said")
    return np.argsort(outcome, kind="stable"), np.asarray(weight / weight.mean())


def _first(values: Floats, mass: Floats, share: float) -> float:
    """The least value at which the mass reaches a share; an infinity outside (0, 1)."""
    if share <= 0:
        return -np.inf
    if share >= 1:
        return np.inf
    return float(values[min(int(np.searchsorted(mass, share - 1e-12)), len(values) - 1)])

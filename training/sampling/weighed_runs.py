"""Votes with evidence after every sample of many runs at once: `router.stopping.weighed_votes` on arrays.

A test holds both to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from router.stopping.value_of_next import ValueOfNext
from router.stopping.weighed_votes import FURTHEST

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Votes:
    """n runs of N samples."""

    classes: NDArray[np.integer] = field(compare=False)  # (n, N) answer class of each, -1: no vote
    evidence: Floats = field(compare=False)  # (n, N)
    models: Floats = field(compare=False)  # (n, 2) a and b of the pass rate


@dataclass(frozen=True, slots=True)
class Weighed:
    """After each sample; C answer classes."""

    each: Floats = field(compare=False)  # (n, N, C) P(right), 0 for answers that have not come
    # (n, N) arrival of the sample that answers, as in `leaders`
    speaker: NDArray[np.int64] = field(compare=False)
    # (n, N) P(the next is right and says something else); NaN without a vote
    other: Floats = field(compare=False)
    # (n, N) of the next sample, as `value_of_next` has it; NaN without a vote
    worth: Floats = field(compare=False)


def weighed_runs(votes: Votes) -> Weighed:
    """Every state of every run."""
    classes, rule = votes.classes, ValueOfNext()
    length = classes.shape[1]
    kinds = int(classes.max(initial=0)) + 1
    same = classes[..., None] == np.arange(kinds)  # (n, N, C)
    count = np.cumsum(same, axis=1).astype(np.float64)
    heft = np.cumsum(same * np.exp(votes.evidence)[..., None], axis=1)
    came, seen = count > 0, np.maximum(count, 1.0)
    total, answers = count.sum(axis=2, keepdims=True), came.sum(axis=2, keepdims=True)
    a, b = votes.models[:, 0, None, None], votes.models[:, 1, None, None]
    c, d = rule.concentration, rule.discount
    log_weight = (
        gammaln(a + seen)
        - gammaln(a)
        + gammaln(b + total - count)
        - gammaln(b + total)
        - np.log(c + (answers - 1) * d + 1e-12)
        - (gammaln(seen - d) - gammaln(1 - d))
        - (gammaln(c + total - count + 1e-12) - gammaln(c + total + 1e-12))
        + np.log(np.where(came, heft, 1.0) / seen)
    )
    weight = np.where(came, np.exp(np.minimum(FURTHEST, log_weight)), 0.0)
    every = 1.0 + weight.sum(axis=2)
    first = np.where(same.any(axis=1), same.argmax(axis=1), length)  # (n, C) arrival
    order = np.argsort(first, axis=1, kind="stable")  # of equals the one that came first
    ranked = np.take_along_axis(np.where(came, heft, -1.0), order[:, None], axis=2)
    leader = np.take_along_axis(order[:, None], ranked.argmax(axis=2)[..., None], axis=2)  # (n, N, 1)
    helps = (a + (weight * (a + count)).sum(axis=2, keepdims=True))[..., 0]
    helps = helps - np.take_along_axis(weight * (a + count), leader, axis=2)[..., 0]
    other = np.maximum(helps, 0.0) / (every * (a + b + total)[..., 0])
    arrival = np.arange(length)[None, :, None]
    latest = np.maximum.accumulate(np.where(same, arrival, -1), axis=1)
    voted = came.any(axis=2)
    speaker = np.where(voted, np.take_along_axis(latest, leader, axis=2)[..., 0], np.arange(length))
    other = np.where(voted, other, np.nan)
    worth = rule.telling * other / np.maximum(total[..., 0], 1.0)
    return Weighed(weight / every[..., None], speaker, other, worth)

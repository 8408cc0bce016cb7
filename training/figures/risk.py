"""A threshold whose risk is bounded with high probability, and how often it is exceeded on other data.

Risk = share *of all queries* that stayed with the cheapest backend, were wrong there, and would have been right at the
best. Queries are kept from the safest on; the walk ends at the first threshold whose binomial upper bound at confidence
1 - eta passes r (fixed-sequence Learn-then-Test, Angelopoulos et al. 2021, with Clopper & Pearson 1934; the loss
only grows with the threshold). When it fails: at drift, and with few queries it keeps little or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = 100  # random halves
ETA = 0.035  # stricter than the .1 of serving: the other half has noise of its own


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """Over random halves: calibrated on the one, measured on the other. All are shares."""

    splits_over_risk: float  # of the halves whose realised risk is above r
    kept: float  # of the queries, mean
    kept_of_best: float  # of what the best threshold in hindsight would have kept, mean


def upper_bound(losses: int, n: int, eta: float) -> float:
    """The rate that is above the true one with probability 1 - eta, after `losses` of n (Clopper & Pearson)."""
    from scipy.stats import beta

    return 1.0 if losses >= n else float(beta.ppf(1 - eta, losses + 1, n - losses))


def losses_allowed(n: int, risk: float, eta: float) -> int:
    """The most losses among n whose upper bound is still <= risk; -1 if not even none."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle, n, eta) <= risk else (low, middle)
    return low


def threshold(score: NDArray[np.float64], loss: NDArray[np.bool_], allowed: int) -> float:
    """The largest score up to which at most `allowed` losses lie: keep what is <= it. -inf: keep nothing.

    Equal scores are kept or left together.
    """
    if allowed < 0 or not len(score):
        return -np.inf
    order = np.argsort(score, kind="stable")
    over = np.flatnonzero(np.cumsum(loss[order]) > allowed)
    if not len(over):
        return np.inf
    first_bad = score[order][over[0]]
    below = score[score < first_bad]
    return float(below.max()) if len(below) else -np.inf


def over_halves(
    score: NDArray[np.float64], loss: NDArray[np.bool_], risk: float, seed: int, eta: float = ETA
) -> RiskFigures:
    """`score` (n,): P(small is wrong), out of fold; `loss` (n,): small is wrong and the best is right."""
    n, over, kept, of_best = len(score), [], [], []
    for split in range(SPLITS):
        order = np.random.default_rng([seed, split]).permutation(n)
        left, right = order[: n // 2], order[n // 2 :]
        cut = threshold(score[left], loss[left], losses_allowed(len(left), risk, eta))
        stays = score[right] <= cut
        over.append(float((stays & loss[right]).sum() > risk * len(right)))
        kept.append(float(stays.mean()))
        hindsight = threshold(score[right], loss[right], int(risk * len(right)))
        could = float((score[right] <= hindsight).mean())
        of_best.append(kept[-1] / could if could else 1.0)
    return RiskFigures(float(np.mean(over)), float(np.mean(kept)), float(np.mean(of_best)))

"""A threshold whose risk is bounded with high probability, and how often it is exceeded on other data.

Risk = share *of all queries* that stayed with the cheapest backend, were wrong there, and would have been right at the
best. Queries are kept from the safest on; the walk ends at the first threshold whose binomial upper bound at confidence
1 - eta passes r (as `predictors.risk_curve` does it when serving; the loss only grows with the threshold), or from
which the other half is too likely to pass it. When it fails: at drift, and with few queries it keeps little or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.risk_curve import losses_allowed

SPLITS = 100  # random halves
ETA = 0.035  # stricter than the .1 of serving: the other half has noise of its own
TAIL = 0.05  # chance that the other half is over the risk all the same


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """Over random halves: calibrated on the one, measured on the other. All are shares."""

    splits_over_risk: float  # of the halves whose realised risk is above r
    kept: float  # of the queries, mean
    kept_of_best: float  # of what the best threshold in hindsight would have kept, mean


def losses_kept(n: int, others: int, risk: float, eta: float = ETA, tail: float = TAIL) -> int:
    """The most losses among n calibration queries for which `others` further ones will hardly have too many; -1: none.

    The bound at eta, and the exact law of the other part: going down the scores, each loss is in the one part or the
    other by chance, so that the other part's losses before the calibration's (k + 1)-th are negative binomial whatever
    the scores are. Its tail above risk·others is kept at `tail`. The bound alone, at .035 and with equal halves, leaves
    that tail at .09 to .106: every second honest score would be over ten of a hundred halves by chance.
    """
    from scipy.stats import nbinom

    allowed = losses_allowed(n, risk, eta)
    while allowed >= 0 and nbinom.sf(np.floor(risk * others), allowed + 1, n / (n + others)) > tail:
        allowed -= 1
    return allowed


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
    score: NDArray[np.float64],
    loss: NDArray[np.bool_],
    risk: float,
    seed: int,
    eta: float = ETA,
    tail: float = TAIL,
) -> RiskFigures:
    """`score` (n,): P(small is wrong), out of fold; `loss` (n,): small is wrong and the best is right."""
    n, over, kept, of_best = len(score), [], [], []
    for split in range(SPLITS):
        order = np.random.default_rng([seed, split]).permutation(n)
        left, right = order[: n // 2], order[n // 2 :]
        cut = threshold(score[left], loss[left], losses_kept(len(left), len(right), risk, eta, tail))
        stays = score[right] <= cut
        over.append(float((stays & loss[right]).sum() > risk * len(right)))
        kept.append(float(stays.mean()))
        hindsight = threshold(score[right], loss[right], int(risk * len(right)))
        could = float((score[right] <= hindsight).mean())
        of_best.append(kept[-1] / could if could else 1.0)
    return RiskFigures(float(np.mean(over)), float(np.mean(kept)), float(np.mean(of_best)))

"""From the log's columns to rows that an evaluation may use; what may not is left out and counted by its reason.

The first reason that holds is the one that counts. Leaving out rows whose outcome is missing is right where outcomes
are missing at random given features and action; where they are missing for being bad, every estimate is too good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.off_policy.logged import SUM_TOLERANCE, Floats, Ints, LoggedRows, Texts

OVERRIDDEN = "the draw was overridden"
UNKNOWN_DIGEST = "the action's digest is unknown"
NO_PROPENSITY = "no propensity"
BAD_PROBABILITIES = "probabilities that do not add up"
NO_FEATURES = "no features"
NO_OUTCOME = "no outcome"
BAD_OUTCOME = "a reward outside [0, 1]"
BAD_COST = "no cost or latency"


@dataclass(frozen=True, slots=True)
class LogColumns:
    """n decisions as they stand in the log; NaN: missing. `digests` (A,) is the table that `action` points into."""

    digests: tuple[str, ...]
    plans: tuple[str, ...]  # (A,)
    features: Floats = field(compare=False)  # (n, d)
    probabilities: Floats = field(compare=False)  # (n, A) of the logging policy
    action: Ints = field(compare=False)  # (n,) -1: a digest that is not in the table
    propensity: Floats = field(compare=False)  # (n,) as logged with the draw
    usable: NDArray[np.bool_] = field(compare=False)  # (n,) what was served is what was drawn
    reward: Floats = field(compare=False)  # (n,)
    cost: Floats = field(compare=False)  # (n,) dollars
    latency: Floats = field(compare=False)  # (n,) seconds
    time: Floats = field(compare=False)  # (n,)
    tenant: Texts = field(compare=False)  # (n,)
    task: Texts = field(compare=False)  # (n,)
    session: Sequence[str] = field(compare=False)  # (n,) "": none
    # (n,) of rows that are not usable
    unusable_reason: Sequence[str] | None = field(default=None, compare=False)


def usable_rows(log: LogColumns) -> LoggedRows:
    """Keep what can be used. A logged propensity that contradicts the logged probabilities makes a row unusable."""
    return usable(log)[0]


def usable(log: LogColumns) -> tuple[LoggedRows, Ints]:
    """`usable_rows`, and the places in the log (rows kept,) that they come from."""
    n, width = log.probabilities.shape
    known = (log.action >= 0) & (log.action < width)
    chance = log.probabilities[np.arange(n), np.where(known, log.action, 0)]
    with np.errstate(invalid="ignore"):
        adds_up: NDArray[np.bool_] = np.abs(log.probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
        adds_up &= (log.probabilities >= 0).all(axis=1)
        reasons: Mapping[str, NDArray[np.bool_]] = {
            OVERRIDDEN: ~log.usable,
            UNKNOWN_DIGEST: ~known,
            NO_PROPENSITY: ~(log.propensity > 0),
            BAD_PROBABILITIES: ~(adds_up & (np.abs(chance - log.propensity) <= SUM_TOLERANCE)),
            NO_FEATURES: ~np.isfinite(log.features.sum(axis=1)),
            NO_OUTCOME: np.isnan(log.reward),
            BAD_OUTCOME: ~((log.reward >= 0) & (log.reward <= 1)),
            BAD_COST: ~(
                (log.cost >= 0) & (log.latency >= 0) & np.isfinite(log.cost) & np.isfinite(log.latency)
            ),
        }
    left = np.ones(n, dtype=np.bool_)
    unusable: dict[str, int] = {}
    for reason, hit in reasons.items():
        out = np.flatnonzero(left & hit)
        said = log.unusable_reason if reason == OVERRIDDEN else None
        keys = [reason] * len(out) if said is None else [_because(reason, said[int(place)]) for place in out]
        unusable |= Counter(keys)
        left &= ~hit
    kept = np.flatnonzero(left)
    rows = LoggedRows(
        actions=log.digests,
        plans=log.plans,
        features=log.features[kept],
        probabilities=log.probabilities[kept],
        action=log.action[kept],
        reward=log.reward[kept],
        cost=log.cost[kept],
        latency=log.latency[kept],
        time=log.time[kept],
        tenant=log.tenant[kept],
        task=log.task[kept],
        cluster=clusters([log.session[int(place)] for place in kept]),
        unusable=unusable,
    )
    return rows, kept


def clusters(sessions: Sequence[str]) -> Ints:
    """One number per session; a row without one is alone, shape (n,)."""
    numbers: dict[str, int] = {}
    return np.array(
        [
            numbers.setdefault(session, len(numbers)) if session else -1 - place
            for place, session in enumerate(sessions)
        ],
        dtype=np.int64,
    )


def _because(reason: str, said: str) -> str:
    return f"{reason}: {said}" if said else reason

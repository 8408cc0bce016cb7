"""What a better mean must not be bought with: risk, slow replies, money, wrong confidence, a slice that loses.

Spend, latency and slices fail where harm is shown (likelier than 90 % that the limit is passed): a limit that had to be
proved kept would stop every candidate on a short log, and the ledger bounds money all the same. Risk is the other way
round: it fails unless it is shown to be kept, because nothing else bounds it. Slices share their error (Bonferroni over
those with enough rows). What was not given is not guarded, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError
from training.off_policy.balance import balance
from training.off_policy.estimate import FEWEST_ROWS, FEWEST_USEFUL, estimator_called
from training.off_policy.logged import Floats, LoggedRows, unsupported
from training.off_policy.reward_model import Fits
from training.off_policy.student import student
from training.off_policy.tails import quantile
from training.off_policy.weights import useful_rows

HARM = 0.1  # one-sided error with which harm is shown
LATE = 0.95  # the share of replies whose latency is guarded
FEWEST_CALIBRATED = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate may cost besides."""

    spend_growth: float = 0.05  # of the incumbent's dollars per query
    latency_growth: float = 0.10  # of the incumbent's 95th percentile
    slice_loss: float = 0.02  # value, of any tenant or task
    max_risk: float | None = None  # share of all queries; None: not guarded
    max_calibration_error: float = 0.10  # mean |expected - earned| over ten groups of equal size
    max_unsupported: float = 0.25  # mean probability on actions without a chance in the log


@dataclass(frozen=True, slots=True)
class Besides:
    """What some guards need beyond the log. Absent: their guards are not there."""

    losses: Floats | None = field(default=None, compare=False)
    # (n,) risk's loss, weighted by 1 / P(shadow run), 0 where none ran
    expected: Floats | None = field(default=None, compare=False)
    # (n, A) rewards that the candidate expects, NaN where it expects none


@dataclass(frozen=True, slots=True)
class Guarded:
    """One guard's finding in words."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two policies on one log."""

    logged: LoggedRows
    candidate: Floats = field(compare=False)  # (n, A)
    incumbent: Floats = field(compare=False)  # (n, A)

    def scores(self, outcome: Floats) -> tuple[Floats, Floats]:
        """The candidate's and the incumbent's, (n,) each, from one model."""
        fits, by = Fits(self.logged, outcome), estimator_called("default")
        return (
            by.scores(self.logged, outcome, self.candidate, fits),
            by.scores(self.logged, outcome, self.incumbent, fits),
        )


def guards(pair: Pair, gain: Floats, limits: Limits, besides: Besides) -> tuple[Guarded, ...]:
    """All of them; `gain` (n,): the scores of the difference in value."""
    found = [
        _support(pair, limits),
        _propensities(pair),
        _spend(pair, limits),
        _latency(pair, limits),
        *_slices(pair, gain, limits),
    ]
    if limits.max_risk is not None:
        if besides.losses is None:
            raise TrainingError("gate: max_risk is set, but no losses of shadow runs are given")
        found.append(_risk(pair, besides.losses, limits.max_risk))
    if besides.expected is not None:
        found.append(_calibration(pair, besides.expected, limits))
    return tuple(found)


def _support(pair: Pair, limits: Limits) -> Guarded:
    share = float(unsupported(pair.logged, pair.candidate).mean())
    said = f"{share:.1%} of what it would do was never drawn (limit {limits.max_unsupported:.0%})"
    return Guarded("support", share <= limits.max_unsupported, said)


def _propensities(pair: Pair) -> Guarded:
    found = balance(pair.logged)
    return Guarded(
        "propensities", not found.suspicious, f"{found.worst} (p {found.p:.2g}, {found.tests} tests)"
    )


def _spend(pair: Pair, limits: Limits) -> Guarded:
    logged = pair.logged
    mine, theirs = pair.scores(logged.cost)
    over = student(mine - (1 + limits.spend_growth) * theirs, logged.cluster)
    said = f"${1000 * mine.mean():.4g} per 1,000 queries instead of ${1000 * theirs.mean():.4g}"
    return Guarded("spend", not over.lower(HARM) > 0, f"{said} (limit +{limits.spend_growth:.0%})")


def _latency(pair: Pair, limits: Limits) -> Guarded:
    logged = pair.logged
    limit = quantile(logged, pair.incumbent, logged.latency, LATE).value * (1 + limits.latency_growth)
    late = student(pair.scores((logged.latency > limit).astype(np.float64))[0], logged.cluster)
    said = f"{max(0.0, late.value):.1%} of replies after {limit:.3g} s (limit {1 - LATE:.0%})"
    return Guarded("p95 latency", not late.lower(HARM) > 1 - LATE, said)


def _risk(pair: Pair, losses: Floats, limit: float) -> Guarded:
    risk = student(pair.scores(losses)[0], pair.logged.cluster)
    said = f"{risk.value:.3f}, with 90 % confidence below {risk.upper(HARM):.3f} (limit {limit:g})"
    return Guarded("risk", risk.upper(HARM) <= limit, said)


def _calibration(pair: Pair, expected: Floats, limits: Limits) -> Guarded:
    from predictors.calibration import ece_debiased

    logged = pair.logged
    said = expected[np.arange(len(logged)), logged.action]
    known = np.isfinite(said)
    if known.sum() < FEWEST_CALIBRATED:
        return Guarded("calibration", True, f"{known.sum()} expectations of what was drawn: too few to say")
    error = ece_debiased(said[known], logged.reward[known], np.random.default_rng(0))
    return Guarded(
        "calibration",
        error <= limits.max_calibration_error,
        f"off by {error:.3f} (limit {limits.max_calibration_error:g})",
    )


def _slices(pair: Pair, gain: Floats, limits: Limits) -> Iterator[Guarded]:
    logged, other = pair.logged, pair.candidate - pair.incumbent
    members: dict[str, NDArray[np.int64]] = {}
    for kind, values in (("tenant", logged.tenant), ("task", logged.task)):
        names, place, count = np.unique(values, return_inverse=True, return_counts=True)
        if len(names) < 2:
            continue
        order, ends = np.argsort(place, kind="stable"), np.cumsum(count)
        for number in np.flatnonzero(count >= FEWEST_ROWS):
            mine = order[ends[number] - count[number] : ends[number]]
            if useful_rows(logged.probabilities[mine], other[mine]) >= FEWEST_USEFUL:
                members[f"{kind} {str(names[number])!r}"] = mine
    harmed = False
    for slice_name, mine in members.items():
        found = student(gain[mine], logged.cluster[mine])
        if found.upper(HARM / len(members)) < -limits.slice_loss:
            harmed = True
            yield Guarded(
                "slice", False, f"{slice_name} loses {-found.value:.3f} (limit {limits.slice_loss:g})"
            )
    if members and not harmed:
        yield Guarded("slices", True, f"none of {len(members)} loses more than {limits.slice_loss:g}")

"""The log as every estimator reads it: what was known, what could be drawn, what was drawn, how it turned out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]

SUM_TOLERANCE = 1e-6  # probabilities are logged as written by the policy; they add up to 1 as floats do


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """n rows of usable decisions over A actions. An action is a plan's digest; d features were known before the draw.

    `actions` are all digests that the log or a policy under evaluation offers; one that was never feasible has the
    probability 0 in every row. Digests under one plan's name are modelled together: the same plan under another bundle.
    """

    actions: tuple[str, ...]  # (A,) digests
    plans: tuple[str, ...]  # (A,) the name under which each is offered
    features: Floats = field(compare=False)  # (n, d), finite
    probabilities: Floats = field(compare=False)  # (n, A) as logged; 0: not feasible; rows add up to 1
    action: Ints = field(compare=False)  # (n,) index of the drawn one
    reward: Floats = field(compare=False)  # (n,) in [0, 1]
    cost: Floats = field(compare=False)  # (n,) dollars
    latency: Floats = field(compare=False)  # (n,) seconds
    time: Floats = field(compare=False)  # (n,) seconds since the epoch
    tenant: Texts = field(compare=False)  # (n,)
    task: Texts = field(compare=False)  # (n,) "": not said
    # (n,) rows of one number shared a draw (a session) and depend on one another
    cluster: Ints = field(compare=False)
    # reason -> rows that were left out
    unusable: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _check_shapes(self)
        if len(self):
            _check_values(self)

    def __len__(self) -> int:
        return len(self.action)

    @property
    def propensity(self) -> Floats:
        """The drawn action's logged probability, shape (n,)."""
        return np.asarray(self.probabilities[np.arange(len(self)), self.action])

    def taken(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> LoggedRows:
        """These rows only."""
        kept = {name: getattr(self, name)[places] for name in _ROW_FIELDS}
        return LoggedRows(self.actions, self.plans, **kept, unusable=self.unusable)

    @classmethod
    def joined(cls, parts: Sequence[LoggedRows]) -> LoggedRows:
        """Logs of several periods as one; all must have the same actions. A session does not go beyond its log."""
        first, used = parts[0], 0
        if any(part.actions != first.actions or part.plans != first.plans for part in parts):
            raise TrainingError(
                "logged rows: logs with different actions cannot be joined; use `offering` first"
            )
        kept = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROW_FIELDS}
        numbers = []
        for part in parts:
            sessions = part.cluster >= 0
            numbers.append(np.where(sessions, part.cluster + used, -1 - np.arange(len(part))))
            used += int(part.cluster.max(initial=-1)) + 1
        alone = np.concatenate(numbers)
        kept["cluster"] = np.where(alone >= 0, alone, -1 - np.arange(len(alone)))
        unusable = Counter[str]()
        for part in parts:
            unusable.update(part.unusable)
        return cls(first.actions, first.plans, **kept, unusable=unusable)

    def offering(self, actions: Mapping[str, str]) -> LoggedRows:
        """The same rows with further digests (digest -> plan's name), none of which was feasible then."""
        new = {digest: plan for digest, plan in actions.items() if digest not in self.actions}
        kept = {name: getattr(self, name) for name in _ROW_FIELDS}
        kept["probabilities"] = np.hstack([self.probabilities, np.zeros((len(self), len(new)))])
        return LoggedRows((*self.actions, *new), (*self.plans, *new.values()), **kept, unusable=self.unusable)


_ROW_FIELDS = tuple(
    one.name for one in fields(LoggedRows) if one.name not in ("actions", "plans", "unusable")
)


def checked_policy(logged: LoggedRows, probabilities: Floats, name: str) -> Floats:
    """Another policy's probabilities for the logged rows, (n, A): at least 0, rows add up to 1; raise `TrainingError`.

    It is evaluated at the logged price and among the plans that were feasible then. What it puts on an action that
    had no chance in the log (a new digest) is not supported by any outcome; see `unsupported`.
    """
    if probabilities.shape != logged.probabilities.shape:
        raise TrainingError(
            f"{name}: probabilities are {probabilities.shape}, the log's {logged.probabilities.shape}"
        )
    sums = probabilities.sum(axis=1)
    if len(logged) and not (probabilities.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):
        raise TrainingError(f"{name}: probabilities of a row must be at least 0 and add up to 1")
    return probabilities


def unsupported(logged: LoggedRows, probabilities: Floats) -> Floats:
    """The share of a policy's probability that lies on actions without a chance in the log, per row, shape (n,)."""
    return np.asarray(np.where(logged.probabilities > 0, 0.0, probabilities).sum(axis=1))


def _check_shapes(logged: LoggedRows) -> None:
    n, width = logged.probabilities.shape
    different = len(set(logged.actions))
    if not len(logged.actions) == len(logged.plans) == different == width:
        raise TrainingError(
            f"logged rows: {width} columns of probabilities, {len(logged.actions)} actions ({different} "
            f"different), {len(logged.plans)} plans; all must be equally many"
        )
    for name in _ROW_FIELDS:
        if len(getattr(logged, name)) != n:
            raise TrainingError(f"logged rows: {n} rows, but {len(getattr(logged, name))} of {name}")


def _check_values(logged: LoggedRows) -> None:
    width = len(logged.actions)
    sums = logged.probabilities.sum(axis=1)
    wrong = {
        "features must be finite": not np.isfinite(logged.features).all(),
        f"action must be in 0..{width - 1}": logged.action.min() < 0 or logged.action.max() >= width,
        "probabilities of a row must be at least 0 and add up to 1": not (
            logged.probabilities.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE
        ),
        "rewards must be in [0, 1]": not (logged.reward.min() >= 0 and logged.reward.max() <= 1),
        "cost and latency must be at least 0": not (logged.cost.min() >= 0 and logged.latency.min() >= 0),
    }
    for why, holds in wrong.items():
        if holds:
            raise TrainingError(f"logged rows: {why}")
    if not logged.propensity.min() > 0:
        raise TrainingError("logged rows: a drawn action must have had a chance above 0")

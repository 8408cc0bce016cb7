"""A policy's value, or the difference of two, with its interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from router.plugins import resolve
from training.off_policy import ESTIMATORS, Estimator
from training.off_policy.logged import Floats, LoggedRows, checked_policy
from training.off_policy.reward_model import Fits
from training.off_policy.student import Interval, student
from training.off_policy.weights import WeightDiagnostics, weigh

FEWEST_USEFUL = 15.0  # below, intervals of known truth covered less than 90 % (.897 with 12.6)
FEWEST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` and its 95 % interval in the outcome's unit. `refused`: why the interval must not be relied on, or ""."""

    value: float
    lo: float
    hi: float
    interval: Interval  # for bounds at other levels
    weights: WeightDiagnostics
    refused: str = ""


def estimate(
    logged: LoggedRows, target: Floats, outcome: Floats | None = None, estimator: str = "default"
) -> Estimate:
    """What a policy (n, A) would have given on the logged queries; `outcome` (n,), None: the reward.

    Raises `UnknownName` for an estimator that is not there, `TrainingError` for what is no policy.
    """
    outcome = logged.reward if outcome is None else outcome
    target = checked_policy(logged, target, "policy")
    found = estimator_called(estimator).scores(logged, outcome, target, Fits(logged, outcome))
    return from_scores(logged, found, weigh(logged, target))


def difference(
    logged: LoggedRows,
    candidate: Floats,
    incumbent: Floats,
    outcome: Floats | None = None,
    estimator: str = "default",
    fits: Fits | None = None,
) -> Estimate:
    """Candidate minus incumbent, paired: both on the same rows with the same model, so that what they share cancels.

    Where the two agree a row says nothing and costs nothing. Give `fits` to share the model with other differences.
    """
    outcome = logged.reward if outcome is None else outcome
    candidate = checked_policy(logged, candidate, "candidate")
    incumbent = checked_policy(logged, incumbent, "incumbent")
    fits = fits or Fits(logged, outcome)
    by = estimator_called(estimator)
    scores = by.scores(logged, outcome, candidate, fits) - by.scores(logged, outcome, incumbent, fits)
    return from_scores(logged, scores, weigh(logged, candidate - incumbent))


def estimator_called(name: str) -> Estimator:
    """Raises `UnknownName` with the choices."""
    built: Estimator = resolve("estimator", ESTIMATORS, name)()
    return built


def from_scores(logged: LoggedRows, scores: Floats, weights: WeightDiagnostics) -> Estimate:
    """The interval of given scores (n,)."""
    interval = student(scores, logged.cluster)
    lo, hi = interval.both()
    return Estimate(interval.value, lo, hi, interval, weights, refusal(weights))


def refusal(weights: WeightDiagnostics) -> str:
    """Why an interval would not cover, or ""."""
    if weights.rows < FEWEST_ROWS:
        return f"{weights.rows} usable rows; at least {FEWEST_ROWS} are needed"
    if 0 < weights.useful_rows < FEWEST_USEFUL:
        return (
            f"{weights.useful_rows:.1f} of {weights.rows} rows say something about what the policy does "
            f"otherwise; at least {FEWEST_USEFUL:.0f} are needed: more exploration or a longer period"
        )
    return ""

"""What was predicted against what was reported, and the risk that shadow runs show.

Rows and outcomes meet in the memory of this replica: the last `REMEMBERED` decisions, by their id and by their
request's. An outcome of another replica's decision is counted as unmatched here, and matched nowhere; the training log
has them all. Outcomes count where they are a bool or a number in [0, 1].

Realised risk: a shadow run is drawn with a known chance pi, so that Σ [answers differ]/pi / Σ 1/pi estimates the
share of all such queries whose answer differs from the reference's (Hajek 1971). Who differs is not always wrong, and
who agrees not always right: it stands for risk only as far as the reference can be trusted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from router.domain.decision import Decision, Outcome, Status
from router.shadow import AGREES, SHADOW_RUN
from router.telemetry.accumulators import Accumulated, Counts, Mean, Means, Names, Read

REMEMBERED = 50_000  # decisions: 10 MB
MOST_METRICS = 16  # of those that reporters name
BINS = 10


class Promise(NamedTuple):
    """What a decision said about its answer."""

    tenant: str
    plan: str
    quality: float | None  # expected reward of the served plan
    confidence: float | None  # P(right) of the answer


class OutcomeMetrics:
    """Sees rows (`decided`) and outcomes (`reported`)."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.realised, self.predicted = Means(), Means()
        self.confidence, self.outcome = Means(), Means()
        self.outcomes, self.unmatched, self.shadow_runs = Counts(), Counts(), Counts()
        self.risk: dict[str, Mean] = {}
        self._remembered = remembered
        self._promises: OrderedDict[str, Promise] = OrderedDict()
        self._requests: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._metrics = Names(MOST_METRICS)

    def decided(self, row: Decision) -> None:
        """Remember what a row promises."""
        if row.unusable_reason == SHADOW_RUN:
            self._shadow(row)
            return
        forecast = row.forecasts.get(row.plan)
        quality = None if forecast is None else forecast[0]
        self._promises[row.decision_id] = Promise(row.tenant, row.plan, quality, row.confidence)
        self._requests[row.tenant, row.request_id] = row.decision_id
        if len(self._promises) > self._remembered:
            self._promises.popitem(last=False)
        if len(self._requests) > self._remembered:
            self._requests.popitem(last=False)

    def reported(self, outcome: Outcome) -> None:
        """Hold an outcome against the promise; it is new, and committed."""
        metric = self._metrics(outcome.metric)
        self.outcomes.add((metric,))
        value = worth(outcome)
        if value is None:
            return
        name = outcome.decision_id or self._requests.get((outcome.tenant, outcome.request_id), "")
        promise = self._promises.get(name)
        if promise is None or promise.tenant != outcome.tenant:
            self.unmatched.add(())
            return
        self.realised.add((promise.plan, metric), value)
        if promise.quality is not None:
            self.predicted.add((promise.plan, metric), promise.quality)
        if promise.confidence is not None:
            place = (metric, f"{min(BINS - 1, int(promise.confidence * BINS)) / BINS:.1f}")
            self.confidence.add(place, promise.confidence)
            self.outcome.add(place, value)

    def series(self) -> dict[str, Accumulated]:
        """By the name of the metric."""
        return {
            "apportion_realised_quality": self.realised,
            "apportion_realised_prediction": self.predicted,
            "apportion_calibration_confidence": self.confidence,
            "apportion_calibration_outcome": self.outcome,
            "apportion_outcomes_total": self.outcomes,
            "apportion_outcomes_unmatched_total": self.unmatched,
            "apportion_shadow_runs_total": self.shadow_runs,
        }

    def readings(self) -> dict[str, Read]:
        """What follows from the counts; nothing where there are none."""
        return {
            "apportion_calibration_error": self.calibration_error(),
            "apportion_realised_risk": realised_risk(self.risk),
        }

    def calibration_error(self) -> dict[tuple[str, ...], float]:
        """Per metric; see the function."""
        return calibration_error(self.confidence, self.outcome)

    def _shadow(self, row: Decision) -> None:
        agrees = row.metadata.get(AGREES)
        ended = row.status not in {Status.FAILED, Status.CANCELLED}
        word = {"yes": "agrees", "no": "differs"}.get(agrees or "", "no_answer") if ended else "failed"
        self.shadow_runs.add((word,))
        if agrees is None or not row.propensity > 0:
            return
        self.risk.setdefault(row.plan, Mean()).add(float(agrees == "no"), 1.0 / row.propensity)


def calibration_error(confidence: Means, outcome: Means) -> dict[tuple[str, ...], float]:
    """Per metric: sum over bins of |mean confidence - mean outcome|, weighted by the bin's share."""
    gaps: dict[str, Mean] = {}
    for labels, said in confidence.values.items():
        gap = abs(said.total - outcome.values[labels].total) / said.count
        gaps.setdefault(labels[0], Mean()).add(gap, said.count)
    return {(metric,): mean.total / mean.count for metric, mean in gaps.items()}


def realised_risk(risk: Mapping[str, Mean]) -> dict[tuple[str, ...], float]:
    """Per plan: the share of shadow runs that differ, weighted."""
    return {(plan,): mean.total / mean.count for plan, mean in risk.items()}


def worth(outcome: Outcome) -> float | None:
    """The outcome as a reward in [0, 1]; None where it is none."""
    if isinstance(outcome.value, bool):
        return float(outcome.value)
    if isinstance(outcome.value, str) or not 0.0 <= outcome.value <= 1.0:
        return None
    return float(outcome.value)

"""Which rows of the log tell what `apply` would have done, and those rows as arrays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from router.domain.decision import Mode
from training.report.prediction import Observed, Runs
from training.report.rows import Row

# rows, by which it is told which bundle decides: no canary has most of them, unless it decides most
NEWEST = 50


@dataclass(frozen=True, slots=True)
class Picked:
    """The rows that a prediction is made from, and why others are not."""

    rows: tuple[Row, ...]
    reference: str
    bundle: str  # "" : untrained
    left_out: Mapping[str, int]  # reason -> rows


def pick(rows: Iterable[Row]) -> Picked:
    """Observed rows of one bundle (that decides now) and one reference plan (the one that most of them were served).

    What would have been drawn under an older bundle will not be drawn next week, so its rows are left out.
    """
    left_out: Counter[str] = Counter()
    complete: list[Row] = []
    for row in rows:
        if row.mode is not Mode.OBSERVE or row.shadow_of:
            continue
        reason = _incomplete(row)
        if reason:
            left_out[reason] += 1
        else:
            complete.append(row)
    if not complete:
        return Picked((), "", "", dict(left_out))
    bundle = _deciding(complete)
    current = [row for row in complete if row.bundle == bundle]
    left_out["under another bundle than the one that decides now"] += len(complete) - len(current)
    ((reference, digest), _), *_ = Counter((row.plan, row.digest) for row in current).most_common(1)
    kept = tuple(row for row in current if (row.plan, row.digest) == (reference, digest))
    left_out["not served by the reference plan (not feasible, failed over, or changed since)"] += len(
        current
    ) - len(kept)
    return Picked(kept, reference, bundle, {reason: count for reason, count in left_out.items() if count})


def _deciding(rows: Sequence[Row]) -> str:
    """The bundle of most of the newest rows, of at least one: the newest alone may be a canary's."""
    return Counter(row.bundle for row in reversed(rows[-NEWEST:])).most_common(1)[0][0]


def _incomplete(row: Row) -> str:
    if row.stop_reason == "decided":
        return "decided only: the caller calls its models itself"
    if not row.replied:
        return row.status.value
    if not row.forecasts:
        return "logged without forecasts"
    if row.plan not in row.forecasts or not row.probabilities.keys() <= row.forecasts.keys():
        return "not served by the reference plan (not feasible, failed over, or changed since)"
    total = math.fsum(row.probabilities.values())
    costs = (row.cost, *(micros for _, micros in row.forecasts.values()))
    if not (abs(total - 1) < 1e-3 and all(math.isfinite(cost) and cost >= 0 for cost in costs)):
        return "damaged numbers"
    return ""


def observed_of(picked: Picked) -> Observed:
    """The arrays of at least one picked row."""
    names = dict.fromkeys([picked.reference])
    for row in picked.rows:
        names.update(dict.fromkeys(row.forecasts))
    plans = {name: place for place, name in enumerate(names)}
    shape = len(picked.rows), len(plans)
    probability, forecast = np.zeros(shape), np.zeros(shape)
    quality = np.full(shape, np.nan)
    sessions: dict[tuple[str, str], int] = {}
    session = np.zeros(shape[0], dtype=np.int64)
    for number, row in enumerate(picked.rows):
        for name, (worth, micros) in row.forecasts.items():
            place = plans[name]
            forecast[number, place] = micros
            probability[number, place] = row.probabilities.get(name, 0.0)
            if worth is not None:
                quality[number, place] = min(1.0, max(0.0, worth))
        key = (row.tenant, row.session_id) if row.session_id else ("", row.decision_id)
        session[number] = sessions.setdefault(key, len(sessions))
    cost = np.array([row.cost for row in picked.rows])
    return Observed(tuple(plans), 0, cost, probability, forecast, quality, session)


def runs_of(shadows: Sequence[Row], seen: Observed, bundle: str) -> Runs:
    """Shadow runs under the bundle that ended with an answer, of plans that `seen` knows."""
    plans = {name: place for place, name in enumerate(seen.plans)}
    used = [
        (plans[row.plan], row.cost, row.forecasts[row.plan][1])
        for row in shadows
        if row.replied and row.bundle == bundle and row.plan in plans and row.plan in row.forecasts
    ]
    return Runs(
        np.array([plan for plan, _, _ in used], dtype=np.int64),
        np.array([cost for _, cost, _ in used], dtype=np.float64),
        np.array([forecast for _, _, forecast in used], dtype=np.float64),
    )

"""The cycle's look at drift: what changed, since when rows are to be trusted, and what shall be told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cycle.rows import CycleRows
from training.drift.backend_rewards import Change, change_of
from training.drift.calibration import calibration_drift
from training.drift.inputs import input_drift

Floats = NDArray[np.float64]
LATELY = 0.25  # of the rows: what is held against those before


def drifts(rows: CycleRows, serving: str, since: float, level: float) -> dict[str, Any]:
    """Changes of backends, `since` (the latest of them, else the argument), drift of inputs and of calibration."""
    known = np.isfinite(rows.reward) & np.array([bool(text) for text in rows.log.texts("plan")])
    features = _features(rows)
    changes = _changes(rows, known, features, level)
    latest = max([since, *(change.at for change in changes)])
    split = int(len(rows.log) * (1 - LATELY))
    inputs = input_drift(features[:split], features[split:], level=level) if len(features) else ()
    expected = expected_rewards(rows)
    mine = known & np.isfinite(expected) & (np.array(rows.log.texts("bundle"), dtype=object) == serving)
    mine &= rows.log.times() >= latest
    plans = np.array(rows.log.texts("plan"), dtype=object)
    off = calibration_drift(plans[mine], expected[mine], rows.reward[mine], level=level)
    return {
        "since": latest,
        "changes": [asdict(change) for change in changes],
        "inputs": [asdict(one) for one in inputs[:10]],
        "calibration": [asdict(one) for one in off],
    }


def expected_rewards(rows: CycleRows) -> Floats:
    """What was expected of the served plan when it was drawn, (n,); NaN: nothing."""
    found = np.full(len(rows.log), np.nan)
    plans, forecasts = rows.log.texts("plan"), rows.log.column("forecasts").to_pylist()
    for at, (plan, entries) in enumerate(zip(plans, forecasts, strict=True)):
        for name, forecast in entries or ():
            if name == plan and forecast["quality"] is not None:
                found[at] = forecast["quality"]
    return found


def _features(rows: CycleRows) -> Floats:
    """Logged features, (n, d); none where bundles of the log computed different ones."""
    from training.errors import TrainingError

    try:
        found = rows.log.features().astype(np.float64)
    except TrainingError:
        return np.zeros((len(rows.log), 0))
    return np.where(np.isfinite(found), found, 0.0)


def _changes(rows: CycleRows, known: NDArray[np.bool_], features: Floats, level: float) -> list[Change]:
    """By backend, over decisions whose answer is one of its first samples."""
    samples = rows.log.column("samples").to_pylist()
    backend = np.array(
        [
            drawn[0]["backend"] if drawn and all(one["stage"] == 0 for one in drawn) else ""
            for drawn in samples
        ],
        dtype=object,
    )
    time, found = rows.log.times(), []
    names = sorted(set(backend[known].tolist()) - {""})
    for name in names:
        mine = known & (backend == name)
        change = change_of(name, time[mine], rows.reward[mine], features[mine], level=level / len(names))
        if change is not None:
            found.append(change)
    return found

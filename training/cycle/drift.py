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
Numbers = NDArray[np.float32]
LATELY = 0.25  # of the rows: what is held against those before


def drifts(rows: CycleRows, serving: str, since: float, level: float) -> dict[str, Any]:
    """Changes of backends, `since` (the latest of them, else the argument), drift of inputs and of calibration."""
    plans = np.array([plan or "" for plan in rows.log.texts("plan")], dtype=object)
    known = np.isfinite(rows.reward) & (plans != "")
    features = _features(rows)
    changes = _changes(rows, known, features, level)
    latest = max([since, *(change.at for change in changes)])
    split = int(len(features) * (1 - LATELY))
    inputs = input_drift(features[:split], features[split:], level=level) if len(features) else ()
    expected = expected_rewards(rows)
    mine = known & np.isfinite(expected) & (np.array(rows.log.texts("bundle"), dtype=object) == serving)
    mine &= rows.log.times() >= latest
    off = calibration_drift(plans[mine], expected[mine], rows.reward[mine], level=level)
    return {
        "since": latest,
        "changes": [asdict(change) for change in changes],
        "inputs": [asdict(one) for one in inputs[:10]],
        "calibration": [asdict(one) for one in off],
    }


def expected_rewards(rows: CycleRows) -> Floats:
    """What was expected of the served plan when it was drawn, (n,); NaN: nothing."""
    return rows.log.of_served("forecasts", "quality")


def _features(rows: CycleRows) -> Numbers:
    """Logged features, (n, d); none where bundles of the log computed different ones."""
    from training.errors import TrainingError

    try:
        found = rows.log.features()
    except TrainingError:
        return np.zeros((len(rows.log), 0), dtype=np.float32)
    np.nan_to_num(found, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return found


def _changes(rows: CycleRows, known: NDArray[np.bool_], features: Numbers, level: float) -> list[Change]:
    """By backend, over decisions whose answer is one of its first samples."""
    names, backend = rows.log.first_backends()
    time, found = rows.log.times(), []
    there = [(name, at) for at, name in enumerate(names) if (known & (backend == at)).any()]
    for name, at in sorted(there):
        mine = known & (backend == at)
        change = change_of(
            name, time[mine], rows.reward[mine], features[mine].astype(np.float64), level=level / len(there)
        )
        if change is not None:
            found.append(change)
    return found

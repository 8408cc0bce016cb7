"""What the model's states at the looks add: a few main directions of them as further features of the head.

Directions come from the tuning half alone. No rule that serves sees states of a sample that grows: this says what they
would be worth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predictors.hidden_probe import main_directions
from training.suites.early_exit.halves import Half, Known, half_of
from training.suites.early_exit.traces import Floats, Traces

DIRECTIONS = 16
LEAST_SHARE = 0.5  # of the snapshots must have states of one width
_CUT = 6.0  # standard deviations


def states_at(traces: Traces) -> NDArray[np.float32] | None:
    """The states at the snapshots, (n, L, width), NaN where there is none; None where too few have any."""
    column = traces.recording.cells.get("hidden")
    if column is None or column.null_count == len(column):
        return None
    vectors = {int(row): traces.recording.hidden(int(row)) for row in traces.rows[traces.there]}
    widths = [len(vector) for vector in vectors.values() if vector is not None]
    if not widths:
        return None
    width = max(set(widths), key=widths.count)
    if not width or widths.count(width) < LEAST_SHARE * len(vectors):
        return None
    found = np.full((*traces.rows.shape, width), np.nan, np.float32)
    for place in np.argwhere(traces.there):
        vector = vectors[int(traces.rows[tuple(place)])]
        if vector is not None and len(vector) == width:
            found[tuple(place)] = vector
    return found


def along_directions(states: NDArray[np.float32], tuning: NDArray[np.bool_], seed: int) -> Floats:
    """The standardised states along the main directions of the tuning half's, (n, L, k); 0 where there is none."""
    known = np.isfinite(states).all(axis=2)
    own = states[known & tuning[:, None]].astype(np.float64)
    k = min(DIRECTIONS, len(own), states.shape[2])
    if not k:
        return np.zeros((*known.shape, 0))
    mean, spread = own.mean(axis=0), own.std(axis=0)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    z = np.clip((own - mean) * scale, -_CUT, _CUT).astype(np.float32)
    found = np.zeros((*known.shape, k))
    every = np.clip((states[known] - mean) * scale, -_CUT, _CUT)
    found[known] = every @ main_directions(z, k, seed)
    return found


def half_with_states(known: Known, states: NDArray[np.float32], half: Half) -> tuple[Known, Half] | None:
    """The same half, expected of by a head that sees the states too."""
    seeing = known.seeing(along_directions(states, half.tuning, half.number))
    told = half_of(seeing, half.number)
    return None if told is None else (seeing, told)

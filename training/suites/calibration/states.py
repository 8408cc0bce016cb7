"""Hidden vectors of a recording, and what a probe on them says: one probe per backend and width.

Samples without a vector, or with one of a kind too rare to fit, get their backend's base rate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from training.fit.states import ENOUGH, fit_probe

Floats = NDArray[np.float64]


def has_states(recording: Recording) -> bool:
    """Whether any finished sample has a hidden vector: snapshots are not asked about."""
    if "hidden" not in recording.cells:
        return False
    return bool(_widths(recording, np.flatnonzero(recording.columns.finished)).any())


def probed(
    recording: Recording,
    train: NDArray[np.int64],  # rows of the recording's columns
    y: Floats,  # (train,)
    folds: NDArray[np.int64],  # (train,) of their queries
    test: NDArray[np.int64],
    seed: int,
) -> tuple[Floats, Floats]:
    """P(right) of the training rows, each while its fold was held out, and of the test rows; calibrated."""
    backend = recording.columns.backend
    bases = np.full(len(recording.backends), float(y.mean()))
    for place in np.unique(backend[train]):
        bases[place] = y[backend[train] == place].mean()
    held_out, found = bases[backend[train]], bases[backend[test]]
    width_train, width_test = _widths(recording, train), _widths(recording, test)
    for at in sorted(
        {(int(backend[row]), int(width)) for row, width in zip(train, width_train, strict=True)}
    ):
        mine = np.flatnonzero((backend[train] == at[0]) & (width_train == at[1]))
        if at[1] == 0 or len(mine) < ENOUGH or len(np.unique(folds[mine])) < 2:
            continue
        x = _states(recording, train[mine])
        fitted = fit_probe(x, (), y[mine], np.ones(len(mine)), folds[mine], seed)
        held_out[mine] = fitted.held_out
        theirs = np.flatnonzero((backend[test] == at[0]) & (width_test == at[1]))
        if len(theirs):
            found[theirs] = fitted.probe.many(_states(recording, test[theirs]))
    return held_out, found


def _widths(recording: Recording, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length of each row's vector, 0 where there is none."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(recording.cells["hidden"]), 0).to_numpy(zero_copy_only=False)
    return np.asarray(lengths[recording.file_row[rows]], dtype=np.int64)


def _states(recording: Recording, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors of rows that all have one of the same length, (rows, width)."""
    return np.concatenate(list(_blocks(recording, rows)))


def _blocks(recording: Recording, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    import pyarrow as pa

    places = recording.file_row[rows]
    for start in range(0, len(rows), 4096):
        part = recording.cells["hidden"].take(pa.array(places[start : start + 4096]))
        flat = part.flatten().to_numpy(zero_copy_only=False)
        yield flat.reshape(len(part), -1).astype(np.float32)

"""The hidden vectors of a recording, row by row, without copying the column; and what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Piece

if TYPE_CHECKING:
    from router.recording import Recording


class HiddenColumn:
    """Views of one recording's column; raises `RecordingError` where `meta.json` says nonsense of the pieces."""

    def __init__(self, recording: Recording) -> None:
        self._rows = recording.file_row
        self._pieces = {name: recording.pieces(name) for name in recording.backends}
        column = recording.cells.get("hidden")
        self._valid: NDArray[np.bool_] | None = None
        if column is not None and len(column) > column.null_count:
            self._valid = np.asarray(column.is_valid())
            self._offsets = np.asarray(column.offsets)
            self._values = column.values.to_numpy(zero_copy_only=False)

    def vector(self, row: int) -> NDArray[np.float16] | None:
        """The vector of a row of `columns`, (width,), or None; a list of no numbers is none."""
        place = int(self._rows[row])
        if self._valid is None or not self._valid[place]:
            return None
        found: NDArray[np.float16] = self._values[self._offsets[place] : self._offsets[place + 1]]
        return found if len(found) else None

    def pieces(self, backend: str) -> tuple[Piece, ...]:
        """What the vectors of a recorded backend are made of; (): not said."""
        return self._pieces.get(backend, ())

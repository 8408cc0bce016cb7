"""The settings that a subject offers, and which of them a tuning half would take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.sampling.runs import Runs

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """k settings over R permutations of n queries."""

    labels: tuple[str, ...]
    stops: NDArray[np.int16] = field(compare=False)  # (k, R, n) samples drawn, in [1, N]
    samples: Floats = field(compare=False)  # (k, n) mean over the permutations
    right: Floats = field(compare=False)  # (k, n)
    default: int | None = None  # the setting without tuning

    @classmethod
    def of(
        cls,
        runs: Runs,
        labels: tuple[str, ...],
        stops: NDArray[np.integer],
        default: int | None = None,
    ) -> Candidates:
        """Their means over the permutations of `runs`."""
        narrow = stops.astype(np.int16)
        right = np.stack([runs.right_at(one).mean(axis=0, dtype=np.float64) for one in narrow])
        return cls(labels, narrow, narrow.mean(axis=1, dtype=np.float64), right, default)

    def chosen(self, tuning: NDArray[np.bool_], reference: Floats, points: float) -> int:
        """The setting with the fewest samples on the tuning half that loses at most `points` against `reference` (n,).

        Where none does, the one that loses least; of equals the first.
        """
        loss = 100 * (reference[tuning].mean() - self.right[:, tuning].mean(axis=1))
        samples = self.samples[:, tuning].mean(axis=1)
        fits = loss <= points + 1e-9
        if not fits.any():
            return int(np.lexsort((samples, loss))[0])
        return int(np.argmin(np.where(fits, samples, np.inf)))

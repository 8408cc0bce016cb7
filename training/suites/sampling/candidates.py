"""The settings that a subject offers, and which of them a tuning half would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.sampling.runs import Runs

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """k settings for n queries."""

    labels: tuple[str, ...]
    samples: Floats = field(compare=False)  # (k, n) drawn, mean over permutations
    right: Floats = field(compare=False)  # (k, n)
    stops: Callable[[int, int], NDArray[np.int16]] = field(
        compare=False
    )  # (setting, permutation) -> samples drawn, (n,) in [1, N]
    default: int | None = None  # the setting without tuning
    caution: float = 0.0  # standard errors that are added to the loss on the tuning half

    @classmethod
    def of(
        cls, runs: Runs, labels: tuple[str, ...], stops: NDArray[np.integer], default: int | None = None
    ) -> Candidates:
        """Of `stops` (k, R, n) over all permutations of `runs`."""
        narrow = stops.astype(np.int16)
        right = np.stack([runs.right_at(one).mean(axis=0, dtype=np.float64) for one in narrow])
        return cls(
            labels,
            narrow.mean(axis=1, dtype=np.float64),
            right,
            lambda setting, permutation: narrow[setting, permutation],
            default,
        )

    def chosen(self, tuning: NDArray[np.bool_], reference: Floats, points: float) -> int:
        """The setting with the fewest samples on the tuning half that loses at most `points` against `reference` (n,).

        Where none does, the one that loses least; of equals the first.
        """
        each = 100 * (reference[tuning] - self.right[:, tuning])
        loss = each.mean(axis=1)
        if self.caution:
            loss = loss + self.caution * each.std(axis=1) / each.shape[1] ** 0.5
        samples = self.samples[:, tuning].mean(axis=1)
        fits = loss <= points + 1e-9
        if not fits.any():
            return int(np.lexsort((samples, loss))[0])
        return int(np.argmin(np.where(fits, samples, np.inf)))

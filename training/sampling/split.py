"""One split: half of the queries tune, the other half is measured with one permutation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.sampling.problem import MEASURED, TUNING, Problem


@dataclass(frozen=True, slots=True)
class Split:
    """Split `number`; its measured half sees the permutation of the same number."""

    number: int
    tuning: NDArray[np.bool_] = field(compare=False)  # (n,)

    @property
    def measured(self) -> NDArray[np.int64]:
        """Places of the queries that are measured."""
        return np.flatnonzero(~self.tuning)


def split_of(problem: Problem, number: int) -> Split | None:
    """None where a half is empty."""
    halves = problem.halves(number)
    if not (halves == TUNING).any() or not (halves == MEASURED).any():
        return None
    return Split(number, halves == TUNING)

"""`fixed`: the same number of samples for every query."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.split import Split


def fixed(known: Known) -> Callable[[Split], Candidates]:
    """1 to N samples."""
    runs = known.runs
    most = runs.problem.most
    numbers = np.arange(1, most + 1, dtype=np.int16)[:, None, None]
    stops = np.broadcast_to(numbers, (most, *runs.shape))
    found = Candidates.of(runs, tuple(f"{count} samples" for count in range(1, most + 1)), stops)
    return lambda split: found

"""`window`: the last answers are all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from router.stopping.window import Window
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.split import Split


def window(known: Known) -> Callable[[Split], Candidates]:
    """Sizes from 2 to N."""
    runs = known.runs
    flat = runs.classes.reshape(-1, runs.problem.most)
    sizes = range(2, runs.problem.most + 1)
    stops = np.stack([Window(size).stops(flat).reshape(runs.shape) for size in sizes])
    default = sizes.index(Window().size) if Window().size in sizes else None
    found = Candidates.of(runs, tuple(f"size {size}" for size in sizes), stops, default)
    return lambda split: found

"""For how many looks in a row a trace has given the same answer, and how long its earlier runs were."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.suites.early_exit.traces import Floats


@dataclass(frozen=True, slots=True)
class Runs:
    """At every look of n traces; a look without an answer ends a run and is none."""

    now: Floats = field(compare=False)  # (n, L') looks in a row with the present answer, 0 without one
    mean: Floats = field(compare=False)  # (n, L') of the earlier runs' lengths; 0 before the first has ended
    sd: Floats = field(compare=False)  # (n, L')
    changes: Floats = field(compare=False)  # (n, L') earlier runs

    @classmethod
    def of(cls, answer: NDArray[np.int32]) -> Runs:
        """Of answers (n, L'), -1 where there is none."""
        n, looks = answer.shape
        now, mean, sd, changes = (np.zeros((n, looks)) for _ in range(4))
        run, total, squares, ended = (np.zeros(n) for _ in range(4))
        for look in range(looks):
            here = answer[:, look]
            same = (here >= 0) & (here == answer[:, look - 1]) if look else np.zeros(n, np.bool_)
            over = ~same & (run > 0)
            total += np.where(over, run, 0.0)
            squares += np.where(over, run**2, 0.0)
            ended += over
            run = np.where(same, run + 1, np.where(here >= 0, 1.0, 0.0))
            many = np.maximum(ended, 1)
            now[:, look], changes[:, look] = run, ended
            mean[:, look] = total / many
            sd[:, look] = np.sqrt(np.maximum(squares / many - (total / many) ** 2, 0.0))
        return cls(now, mean, sd, changes)

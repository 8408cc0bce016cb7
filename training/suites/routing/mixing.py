"""Draw a backend for each query from odds that do not depend on the query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router.first_decision.draw import unit
from training.suites.routing.problem import Fold


def drawn(fold: Fold, mix: NDArray[np.float64], purpose: str) -> NDArray[np.int16]:
    """`mix` (k, B) odds; returns (k, n_test). One number per query serves all points: neighbours differ little."""
    problem = fold.problem
    ids = [problem.recording.queries[problem.queries[place]].query_id for place in fold.test]
    u = np.array([unit(problem.seed, purpose, query_id) for query_id in ids])
    reached = np.cumsum(mix, axis=1)
    reached[:, -1] = np.inf  # the odds may sum to a little less than 1
    last = mix.shape[1] - 1 - np.argmax(mix[:, ::-1] > 0, axis=1)  # never one with odds 0
    found = (u[None, :, None] >= reached[:, None, :]).sum(axis=2)
    return np.asarray(np.minimum(found, last[:, None]), dtype=np.int16)

"""What each backend would earn on a query, seen from P(right) of each and from the gains of one over another.

Routing needs differences: a head fitted on the difference itself errs less on it than the difference of two heads
(Chen et al. 2020, FrugalML, route on it too), and the mean of both errs least. When it fails: nothing that both
heads get wrong is mended.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def gain_matrix(
    values: Floats, backends: Sequence[str], pairs: Sequence[tuple[str, str]], right: Floats
) -> Floats:
    """E[reward of the row's backend - reward of the column's], shape (B, B), in [-1, 1].

    `values` (pairs,) are the gains of the pairs with a head: every pair, or none; then they are differences of
    `right` (B,), P(right).
    """
    if not pairs:
        return np.asarray(right[:, None] - right[None, :])
    place = {name: number for number, name in enumerate(backends)}
    found = np.zeros((len(backends), len(backends)))
    for (one, other), gain in zip(pairs, values.tolist(), strict=True):
        found[place[one], place[other]] = gain
        found[place[other], place[one]] = -gain
    return found


def expected_rewards(right: Floats, gains: Floats) -> Floats:
    """E[reward of one sample] of each backend, (B,), in [0, 1]: level + ((right - level) + gain over the mean) / 2.

    `right` (B,): P(right), whose mean is the level; `gains` (B, B): row minus column.
    """
    level = np.add.reduce(right) / len(right)  # what .mean() does, a third of the time
    over = np.add.reduce(gains, axis=1) / len(right)
    return np.asarray(np.minimum(np.maximum(level + 0.5 * (right - level) + 0.5 * over, 0.0), 1.0))

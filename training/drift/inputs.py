"""Do queries look otherwise than before? Every logged feature, old against new, by the Kolmogorov-Smirnov test.

The level is shared by all features (Bonferroni), and a distance below `LEAST` is not told: with many rows every
difference is significant. When it fails: what changes between the features (their dependence alone) is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]
LEAST = 0.15  # of the distance between two distributions, [0, 1]
FEWEST = 50  # rows on either side
MOST = 50_000  # rows on either side that are looked at, evenly spaced: enough for any distance above LEAST


@dataclass(frozen=True, slots=True)
class InputDrift:
    """One feature's."""

    feature: int  # its column
    distance: float  # [0, 1]
    p_value: float


def input_drift(before: Numbers, after: Numbers, *, level: float) -> tuple[InputDrift, ...]:
    """Features that have changed, the most first; (n, d) and (m, d), finite."""
    from scipy.stats import ks_2samp

    width = before.shape[1]
    if min(len(before), len(after)) < FEWEST or not width:
        return ()
    before, after = _thinned(before), _thinned(after)
    found = []
    for column in range(width):
        old, new = before[:, column], after[:, column]
        if np.ptp(old) == 0 and np.ptp(new) == 0 and old[0] == new[0]:
            continue
        test = ks_2samp(old, new)
        if test.statistic >= LEAST and test.pvalue <= level / width:
            found.append(InputDrift(column, float(test.statistic), float(test.pvalue)))
    return tuple(sorted(found, key=lambda one: -one.distance))


def _thinned(rows: Numbers) -> Numbers:
    return rows[:: -(-len(rows) // MOST)]

"""The live policy's rule for many queries at once: the plan with the highest utility at a price.

`router.policies.utility` decides one query; this is the same argmax over arrays, with the same ties, held to it by a
test. It lives here because a benchmark asks it a million times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_plan(
    quality: NDArray[np.float64],  # (n, plans)
    cost: NDArray[np.float64],  # (n, plans) dollars
    price: float,  # lambda, quality per dollar
) -> NDArray[np.int64]:
    """argmax of q - lambda c for every row, shape (n,); the cheaper of equals, then the earlier."""
    utility = quality - price * cost
    rows = np.arange(len(utility))
    found: NDArray[np.int64] = np.argmax(utility, axis=1)  # the earlier of equals
    tied = utility == utility[rows, found][:, None]
    several = np.flatnonzero(
        np.count_nonzero(tied, axis=1) > 1
    )  # mostly few: looking at these alone halves the time
    found[several] = np.argmin(np.where(tied[several], cost[several], np.inf), axis=1)
    return found

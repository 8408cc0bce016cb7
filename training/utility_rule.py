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
    tied = utility == utility.max(axis=1, keepdims=True)
    return np.asarray(np.argmin(np.where(tied, cost, np.inf), axis=1), dtype=np.int64)

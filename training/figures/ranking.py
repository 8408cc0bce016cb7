"""How well a score orders right from wrong: area under the ROC curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """P(a positive scores above a negative), ties count half (Mann & Whitney 1947); NaN without both kinds."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    from scipy.stats import rankdata

    ranks = rankdata(score)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))

"""Rows of numbers, standardised by those of a fit, and one row through a linear map that was fitted on such."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.compiled import BUILT, scaled_sum

Floats = NDArray[np.float64]


def column_scales(rows: NDArray[Any]) -> tuple[Floats, Floats]:
    """Means of the columns of rows (n, d) and one over their deviations, 0 where nothing changes; (d,) each."""
    spread = rows.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    return rows.mean(axis=0, dtype=np.float64), scale


def scaled_products(row: NDArray[Any], mean: Floats, scale: Floats, most: float, coef: Floats) -> Floats:
    """z @ coef[:-1] + coef[-1], shape (k,), for z = (row - mean) * scale cut at +-`most`.

    `row` (d,) float32 or float64, `mean` and `scale` (d,), `coef` (d + 1, k). Products are added one after another.
    """
    if BUILT:
        return np.frombuffer(scaled_sum(row, mean, scale, most, coef))
    z = (row - mean) * scale
    np.maximum(np.minimum(z, most, out=z), -most, out=z)  # a third of the time of np.clip
    # not `add.reduce`: it adds in pairs where there is one column alone
    return np.asarray(np.add.accumulate(z[:, None] * coef[:-1], axis=0)[-1] + coef[-1])

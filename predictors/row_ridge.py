"""Ridge regression on a query's row of numbers, all heads at once: a member of the query heads' blend.

Numbers are standardised by the rows of the fit and cut at 8 standard deviations; a head's prediction is the mean of its
labels plus a weighted sum, cut to [0, 1] (Hoerl & Kennard 1970). The ridge over n-grams does not see these numbers and
trees see them in steps: where labels are few or say little, a sum of many weak effects is what can be learned. Each
head takes the penalty that errs least on held-out rows. When it fails: effects that are not additive (trees are for
these), and rows unlike those of the fit, which the cut keeps near.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.scaled_products import column_scales, scaled_products

Floats = NDArray[np.float64]
_CUT = 8.0  # standard deviations
_PENALTIES = (100.0, 300.0, 1000.0, 3000.0)  # in rows; many weak numbers want much


@dataclass(frozen=True, slots=True)
class RowRidge:
    """Fitted for h heads on rows whose first r numbers it reads."""

    mean: Floats = field(compare=False)  # (r,)
    # (r,) one over the standard deviation, 0 where a number never changed
    scale: Floats = field(compare=False)
    coef: Floats = field(compare=False)  # (r + 1, h), last row: intercept

    def of(self, row: NDArray[np.float32]) -> Floats:
        """Every head's prediction in [0, 1] for one row of at least r numbers, (h,)."""
        said = scaled_products(row[: len(self.mean)], self.mean, self.scale, _CUT, self.coef)
        return np.asarray(np.minimum(np.maximum(said, 0.0), 1.0))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"mean": self.mean, "scale": self.scale, "coef": self.coef}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], heads: int, columns: int) -> Self:
        """Raises `BundleError` unless it is of so many heads, over so many numbers."""
        expected = {"mean": (columns,), "scale": (columns,), "coef": (columns + 1, heads)}
        for name, shape in expected.items():
            found = arrays[name].shape if name in arrays else None
            if found != shape:
                raise BundleError(f"row ridge: {name} has shape {found}; {shape} is expected")
        return cls(**{name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in expected})


@dataclass(frozen=True, slots=True)
class RowRidgeFit:
    """The fit on all rows, and every row's predictions by fits without its fold."""

    full: RowRidge
    held_out: Floats = field(compare=False)  # (n, h) in [0, 1]


def fit_row_ridge(
    x: NDArray[np.float32],
    y: Floats,
    folds: NDArray[np.int64],
    seen: Mapping[int, NDArray[np.float32]] | None = None,
) -> RowRidgeFit:
    """Fit `y` (n, h) in [0, 1], NaN where unlabelled, on rows x (n, r) finite; `folds` (n,) are held out in turn.

    `seen`: fold -> the rows (n, r) as they are while it is held out, where numbers in them were fitted on labels. A
    head that has no label outside a fold says 1/2 of that fold's rows.
    """
    mean, scale = column_scales(x)
    z = np.clip((x - mean) * scale, -_CUT, _CUT)
    held_out, coef = np.empty(y.shape), np.empty((x.shape[1] + 1, y.shape[1]))
    known = np.isfinite(y)
    for head in range(y.shape[1]):
        same = next((other for other in range(head) if (known[:, other] == known[:, head]).all()), None)
        if same is None:  # heads that are labelled on the same rows share their sums
            group = np.flatnonzero((known == known[:, [head]]).all(axis=0))
            rows = {} if seen is None else seen
            while_out = {
                part: np.clip((numbers - mean) * scale, -_CUT, _CUT) for part, numbers in rows.items()
            }
            held_out[:, group], coef[:, group] = _fit_group(z, y[:, group], known[:, head], folds, while_out)
    return RowRidgeFit(RowRidge(mean, scale, coef), held_out)


def _fit_group(
    z: Floats, y: Floats, known: NDArray[np.bool_], folds: NDArray[np.int64], while_out: Mapping[int, Floats]
) -> tuple[Floats, Floats]:
    """Held-out predictions (n, g) and coefficients (r + 1, g) of heads with labels on the same rows."""
    said = np.full((len(_PENALTIES), *y.shape), 0.5)
    if not known.any():
        return said[0], np.vstack([np.zeros((z.shape[1], y.shape[1])), said[0, :1]])
    for part in np.unique(folds).tolist():
        inside, outside = known & (folds != part), folds == part
        if inside.any():
            rows = while_out.get(part, z)
            coef = _solved(rows[inside], y[inside])
            said[:, outside] = np.clip(rows[outside] @ coef[:, :-1] + coef[:, -1:], 0.0, 1.0)
    best = np.argmin(np.square(said[:, known] - y[known]).sum(axis=1), axis=0)  # (g,)
    return _each(said, best), _each(_solved(z[known], y[known]), best)


def _solved(z: Floats, y: Floats) -> Floats:
    """Coefficients and, last, intercepts (penalties, r + 1, g): one decomposition of the centred rows for them all."""
    centre, level = z.mean(axis=0), y.mean(axis=0)
    centred = z - centre
    values, basis = np.linalg.eigh(centred.T @ centred)
    turned = basis.T @ (centred.T @ (y - level))
    found = []
    for penalty in _PENALTIES:
        coef = basis @ (turned / (np.maximum(values, 0.0) + penalty)[:, None])
        found.append(np.vstack([coef, level - centre @ coef]))
    return np.stack(found)


def _each(of_penalties: Floats, best: NDArray[np.int64]) -> Floats:
    """For every head (last axis) the values under its own penalty (first axis)."""
    return np.stack([of_penalties[penalty, :, head] for head, penalty in enumerate(best)], axis=1)

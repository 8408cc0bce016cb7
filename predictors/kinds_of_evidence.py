"""One logistic regression over several kinds of evidence: numbers of one or more kinds, and hashed words.

Each kind has a penalty of its own: as L2 penalties are prior variances of what a kind adds to the margin, a state of a
thousand numbers cannot drown forty features, nor a thousand words. Fitted jointly, each kind is asked only for what the
others leave open; regressions of their own that are blended afterwards know the same things twice, and need labels to
find out how much. When it fails: evidence that counts only in combination, which is for trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.hashed import HashedRidge, table_of, weighted_sets
from predictors.hidden_probe import CUT, moments, standardised
from predictors.linear import logistic

Floats = NDArray[np.float64]
OF_FEATURE = 0.1  # prior variance of the margin by one feature's standard deviation: a penalty of ten rows
OF_WORDS = 0.5  # by all words of an answer


@dataclass(frozen=True, slots=True)
class Part:
    """Coefficients of standardised numbers."""

    mean: NDArray[np.float32] = field(compare=False)  # (d,)
    scale: NDArray[np.float32] = field(compare=False)  # (d,)
    coef: Floats = field(compare=False)  # (d,)

    def margin(self, x: NDArray[np.float32]) -> Floats:
        """What rows (n, d) add to the margin, (n,)."""
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"x has shape {x.shape}; it was fitted on (n, {len(self.mean)})")
        # not z @ coef, whose rounding depends on how many rows there are
        return np.asarray((standardised(x, self.mean, self.scale) * self.coef).sum(axis=1))

    def of_one(self, row: NDArray[np.float32]) -> float:
        """`margin` of one row (d,) of finite numbers: the same to the last bit, in a third of the time."""
        z = (row - self.mean) * self.scale
        np.minimum(z, CUT, out=z)  # numpy's clip has more to do before it begins
        np.maximum(z, -CUT, out=z)
        return float(np.add.reduce(z * self.coef))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"mean": self.mean, "scale": self.scale, "coef": self.coef}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        try:
            mean, scale = (np.asarray(arrays[name], np.float32) for name in ("mean", "scale"))
            coef = np.asarray(arrays["coef"], np.float64)
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(f"regression: mean, scale, coef are needed, got {sorted(arrays)}") from error
        if mean.ndim != 1 or mean.shape != scale.shape or mean.shape != coef.shape:
            raise BundleError(
                f"regression: shapes {mean.shape}, {scale.shape}, {coef.shape} do not fit together"
            )
        return cls(mean, scale, coef)


def fit_kinds(
    kinds: Sequence[tuple[NDArray[np.float32], float]],
    words: Sequence[NDArray[np.int64]],
    bits: int,
    y: Floats,
    weight: Floats,
) -> tuple[list[Part], HashedRidge]:
    """Fit on n >= 2 rows: of each kind its numbers (n, d) and the prior variance of one, and buckets below 2^`bits`.

    Targets y (n,) in [0, 1]; weights (n,) count by their ratio alone. The words' mean is the intercept.
    """
    found = [moments(x) for x, _ in kinds]
    widths = [x.shape[1] for x, _ in kinds]
    scales = np.repeat(np.sqrt([variance for _, variance in kinds]), widths)
    dense = np.concatenate([standardised(x, *of) for (x, _), of in zip(kinds, found, strict=True)], axis=1)
    sparse, used, rarity = weighted_sets(words, 2**bits, 1.0)
    solved = _fitted(dense * scales, sparse * OF_WORDS**0.5, y, weight / weight.mean())
    coef, said = solved[: len(scales)] * scales, solved[len(scales) : -1] * OF_WORDS**0.5
    parts = [Part(*of, one) for of, one in zip(found, np.split(coef, np.cumsum(widths)[:-1]), strict=True)]
    return parts, table_of(said[:, None], used, rarity, solved[-1:])


def _fitted(dense: Floats, sparse: Any, y: Floats, weight: Floats) -> Floats:
    """Coefficients of the dense and the sparse columns, each with a prior variance of 1, and the intercept."""
    from scipy.optimize import minimize

    back, first, total = sparse.T.tocsr(), dense.shape[1], float(weight.sum())

    def loss(coef: Floats) -> tuple[float, Floats]:
        margin = dense @ coef[:first] + sparse @ coef[first:-1] + coef[-1]
        value = weight @ (np.logaddexp(0.0, margin) - y * margin) + 0.5 * coef[:-1] @ coef[:-1]
        error = weight * (logistic(margin) - y)
        slope = np.concatenate([dense.T @ error, back @ error]) + coef[:-1]
        return float(value) / total, np.append(slope, error.sum()) / total

    base = (weight @ y + 0.5) / (total + 1.0)  # finite also where all targets are equal
    start = np.append(np.zeros(first + sparse.shape[1]), np.log(base / (1 - base)))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x, dtype=np.float64)

"""Logistic regression on standardised features, for targets in [0, 1].

Minimises cross-entropy (soft targets are fractions of a label, Papke & Wooldridge 1996) plus an L2 penalty, by
L-BFGS. When it fails: effects that are not additive, and features with extreme outliers (they are cut at 8 sd).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError, FitError

_CUT = 8.0  # standard deviations; what lies beyond is as good as there


def check_rows(x: NDArray[np.float32], y: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
    """Raise `FitError` unless x is (n, d) finite, y (n,) in [0, 1] and weight (n,) > 0 with n >= 2."""
    if x.ndim != 2 or y.shape != (len(x),) or weight.shape != (len(x),):
        raise FitError(
            f"rows do not match: x {x.shape}, y {y.shape}, weight {weight.shape}; expected (n, d), (n,), (n,)"
        )
    if len(x) < 2:
        raise FitError(f"{len(x)} rows cannot be fitted; at least 2 are needed")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise FitError(f"x[{row}, {column}] is {x[row, column]}; features must be finite")
    if not ((y >= 0) & (y <= 1)).all():  # also catches NaN
        row = int(np.argmin((y >= 0) & (y <= 1)))
        raise FitError(f"y[{row}] is {y[row]}; targets must be in [0, 1]")
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise FitError("weights must be finite and positive")


def check_columns(x: NDArray[np.float32], expected: int) -> None:
    """Raise `ValueError` unless x is (n, expected)."""
    if x.ndim != 2 or x.shape[1] != expected:
        raise ValueError(f"x has shape {x.shape}; it was fitted on (n, {expected})")


@dataclass(slots=True)
class Linear:
    """Logistic regression; a predictor."""

    penalty: float = 1.0  # L2, in rows
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), compare=False)  # (d,)
    scale: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), compare=False)  # (d,)
    # (d + 1,), last: intercept
    coef: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1), compare=False)

    def fit(
        self, x: NDArray[np.float32], y: NDArray[np.float64], weight: NDArray[np.float64], seed: int
    ) -> Self:
        check_rows(x, y, weight)
        from scipy.optimize import minimize

        self.mean = np.average(x, axis=0, weights=weight)
        spread = np.sqrt(np.average((x - self.mean) ** 2, axis=0, weights=weight))
        self.scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
        z = self._standardised(x)
        total = weight.sum()

        def loss(coef: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            margin = z @ coef[:-1] + coef[-1]
            value = (
                weight @ (np.logaddexp(0.0, margin) - y * margin) + 0.5 * self.penalty * coef[:-1] @ coef[:-1]
            )
            error = weight * (logistic(margin) - y)
            return float(value / total), np.append(
                z.T @ error + self.penalty * coef[:-1], error.sum()
            ) / total

        base = (weight @ y + 0.5) / (total + 1.0)  # finite also where all targets are equal
        start = np.append(np.zeros(x.shape[1]), np.log(base / (1 - base)))
        self.coef = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
        return self

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        check_columns(x, len(self.mean))
        return logistic((self._standardised(x) * self.coef[:-1]).sum(axis=1) + self.coef[-1])

    def row(self, x: NDArray[np.float32]) -> float:
        """`predict` for one row, shape (d,): the same number, in a third of the time."""
        check_columns(x[None], len(self.mean))
        z = (x - self.mean) * self.scale
        np.minimum(z, _CUT, out=z)  # numpy's clip has more to do before it begins
        np.maximum(z, -_CUT, out=z)
        z *= self.coef[:-1]
        margin = float(np.add.reduce(z) + self.coef[-1])
        return float(1 / (1 + np.exp(-min(max(margin, -30.0), 30.0))))  # in this order NaN stays NaN

    def _standardised(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.clip((x - self.mean) * self.scale, -_CUT, _CUT)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean, "scale": self.scale, "coef": self.coef}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        try:
            mean, scale, coef = (
                np.asarray(arrays[name], dtype=np.float64) for name in ("mean", "scale", "coef")
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(f"linear: mean, scale and coef are needed, got {sorted(arrays)}") from error
        if mean.ndim != 1 or scale.shape != mean.shape or coef.shape != (len(mean) + 1,):
            raise BundleError(f"linear: shapes {mean.shape}, {scale.shape}, {coef.shape} do not fit together")
        return cls(mean=mean, scale=scale, coef=coef)


def logistic(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of margins, of any shape, cut at 30."""
    return 1 / (1 + np.exp(-np.clip(margin, -30.0, 30.0)))

"""A small network: one layer of tanh units on standardised features, for targets in [0, 1].

Minimises cross-entropy plus an L2 penalty on all weights by L-BFGS from a seeded start. When it fails: few rows (its
start then matters), and where the effects are additive, which `linear` finds with less variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.linear import check_columns, check_rows, logistic

Floats = NDArray[np.float64]
_CUT = 8.0  # standard deviations


@dataclass(slots=True)
class SmallNet:
    """A predictor: p = logistic(v tanh(W z + b) + c), z the standardised features."""

    units: int = 8
    penalty: float = 30.0  # L2, in rows
    rounds: int = 150  # of L-BFGS, at most
    mean: Floats = field(default_factory=lambda: np.zeros(0), compare=False)  # (d,)
    scale: Floats = field(default_factory=lambda: np.zeros(0), compare=False)  # (d,)
    inner: Floats = field(default_factory=lambda: np.zeros((1, 1)), compare=False)  # (d + 1, units), last: b
    outer: Floats = field(default_factory=lambda: np.zeros(2), compare=False)  # (units + 1,), last: c

    def fit(
        self, x: NDArray[np.float32], y: NDArray[np.float64], weight: NDArray[np.float64], seed: int
    ) -> Self:
        check_rows(x, y, weight)
        from scipy.optimize import minimize

        self.mean = np.average(x, axis=0, weights=weight)
        spread = np.sqrt(np.average((x - self.mean) ** 2, axis=0, weights=weight))
        self.scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
        z, total = self._standardised(x), float(weight.sum())
        shape = (x.shape[1] + 1, self.units)
        cut, strength = shape[0] * shape[1], self.penalty / total
        base = (weight @ y + 0.5) / (total + 1.0)
        start = np.random.default_rng(seed).normal(scale=shape[0] ** -0.5, size=cut + self.units + 1)
        start[-1] = np.log(base / (1 - base))

        def loss(theta: Floats) -> tuple[float, Floats]:
            inner, outer = theta[:cut].reshape(shape), theta[cut:]
            hidden = np.tanh(z @ inner[:-1] + inner[-1])  # (n, units)
            margin = hidden @ outer[:-1] + outer[-1]
            kept = np.concatenate([inner[:-1].ravel(), outer[:-1]])
            value = weight @ (np.logaddexp(0.0, margin) - y * margin) / total + 0.5 * strength * kept @ kept
            error = weight * (logistic(margin) - y) / total
            back = np.outer(error, outer[:-1]) * (1 - hidden * hidden)
            to_inner = np.vstack([z.T @ back + strength * inner[:-1], back.sum(axis=0)])
            to_outer = np.append(hidden.T @ error + strength * outer[:-1], error.sum())
            return float(value), np.concatenate([to_inner.ravel(), to_outer])

        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.rounds}).x
        self.inner, self.outer = found[:cut].reshape(shape), found[cut:]
        return self

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        check_columns(x, len(self.mean))
        z = self._standardised(x)
        # not z @ inner, whose rounding depends on how many rows there are
        hidden = np.tanh(np.stack([(z * one[:-1]).sum(axis=1) + one[-1] for one in self.inner.T], axis=1))
        return logistic((hidden * self.outer[:-1]).sum(axis=1) + self.outer[-1])

    def _standardised(self, x: NDArray[np.float32]) -> Floats:
        return np.clip((x - self.mean) * self.scale, -_CUT, _CUT)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean, "scale": self.scale, "inner": self.inner, "outer": self.outer}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        try:
            mean, scale, inner, outer = (
                np.asarray(arrays[name], dtype=np.float64) for name in ("mean", "scale", "inner", "outer")
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(
                f"net: mean, scale, inner and outer are needed, got {sorted(arrays)}"
            ) from error
        if mean.ndim != 1 or scale.shape != mean.shape or inner.shape != (len(mean) + 1, len(outer) - 1):
            raise BundleError(
                f"net: shapes {mean.shape}, {scale.shape}, {inner.shape}, {outer.shape} do not fit together"
            )
        return cls(units=len(outer) - 1, mean=mean, scale=scale, inner=inner, outer=outer)
